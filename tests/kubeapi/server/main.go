// Copyright (c) 2026, the sno.image_upgrade authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command kubeapi holds a real kube-apiserver and a real etcd in one binary, so that tests need nothing
// but a Go toolchain. It is called as "kubeapi kube-apiserver FLAGS" or "kubeapi etcd FLAGS", and takes
// the flags of the program it stands for: the caller can swap in the released binaries without a change.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("usage: kubeapi kube-apiserver|etcd FLAGS"))
	}
	program, args := os.Args[1], os.Args[2:]
	switch program {
	case "kube-apiserver":
		os.Args = append([]string{"kube-apiserver"}, args...)
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	case "etcd":
		if err := runEtcd(args); err != nil {
			fail(err)
		}
	default:
		fail(fmt.Errorf("unknown program %q: kube-apiserver or etcd", program))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kubeapi:", err)
	os.Exit(1)
}

// runEtcd serves one member until a signal. The flags are the subset of etcd's own that the tests use.
func runEtcd(args []string) error {
	config := embed.NewConfig()
	flags := flag.NewFlagSet("etcd", flag.ExitOnError)
	flags.StringVar(&config.Name, "name", config.Name, "member name")
	flags.StringVar(&config.Dir, "data-dir", "", "data directory")
	flags.StringVar(&config.LogLevel, "log-level", "warn", "log level")
	flags.StringVar(&config.InitialCluster, "initial-cluster", "", "initial cluster")
	flags.BoolVar(&config.UnsafeNoFsync, "unsafe-no-fsync", false, "trade durability for speed")
	flags.DurationVar(&config.WatchProgressNotifyInterval, "watch-progress-notify-interval", 5*time.Second,
		"how often an idle watch hears that it is up to date")
	urls := map[string]*[]url.URL{
		"listen-client-urls":          &config.ListenClientUrls,
		"advertise-client-urls":       &config.AdvertiseClientUrls,
		"listen-peer-urls":            &config.ListenPeerUrls,
		"initial-advertise-peer-urls": &config.AdvertisePeerUrls,
	}
	for name, target := range urls {
		flags.Func(name, "one URL", func(text string) error {
			parsed, err := url.Parse(text)
			if err == nil {
				*target = []url.URL{*parsed}
			}
			return err
		})
	}
	if err := flags.Parse(args); err != nil {
		return err
	}

	member, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer member.Close()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	select {
	case <-stop:
		return nil
	case err := <-member.Err():
		return err
	}
}
