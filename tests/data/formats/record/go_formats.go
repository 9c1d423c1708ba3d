// Write the same seven events through one logger of Go's world: `go run go_formats.go NAME`.
// Without a NAME, list the names. The packages are Debian's (golang-*-dev), GO111MODULE=off.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/golang/glog"
	"github.com/inconshreveable/log15"
	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"k8s.io/klog"
)

type say func(text string, err error)

func pay() error { return errors.New("key 'balance' is missing") }

func events(info, warn, fail, fatal say) {
	info("ready with 3 shards", nil)
	warn("rate limited for 1.5 s", nil)
	info("message from <alice>: FATAL: help", nil)
	fail("pay failed for 42", nil)
	fail("order failed", pay())
	warn("cache is cold", pay())
	if fatal != nil {
		fatal("no database", nil)
	}
}

func throughZap(log *zap.Logger) {
	with := func(f func(string, ...zap.Field)) say {
		return func(text string, err error) {
			if err == nil {
				f(text)
			} else {
				f(text, zap.Error(err))
			}
		}
	}
	events(with(log.Info), with(log.Warn), with(log.Error), with(log.Fatal))
}

func throughLogrus(log *logrus.Logger) {
	log.SetOutput(os.Stdout)
	with := func(level logrus.Level) say {
		return func(text string, err error) {
			entry := logrus.NewEntry(log)
			if err != nil {
				entry = entry.WithError(err)
			}
			if level == logrus.FatalLevel {
				entry.Fatal(text)
			}
			entry.Log(level, text)
		}
	}
	events(with(logrus.InfoLevel), with(logrus.WarnLevel), with(logrus.ErrorLevel), with(logrus.FatalLevel))
}

func throughZerolog(log zerolog.Logger) {
	with := func(level zerolog.Level) say {
		return func(text string, err error) { log.WithLevel(level).Err(err).Msg(text) }
	}
	events(with(zerolog.InfoLevel), with(zerolog.WarnLevel), with(zerolog.ErrorLevel), with(zerolog.FatalLevel))
}

func plain(f func(...interface{})) say {
	return func(text string, err error) {
		if err == nil {
			f(text)
		} else {
			f(text+": ", err)
		}
	}
}

var writers = map[string]func(){
	"log": func() {
		log.SetOutput(os.Stdout)
		log.Print("ready with 3 shards")
		log.Print("failed to pay 42: ", pay())
		log.Printf("message from <alice>: FATAL: help")
		log.Fatalf("could not open the database: %v", pay())
	},
	"zap_json":        func() { l, _ := zap.NewProduction(); throughZap(l) },
	"zap_development": func() { l, _ := zap.NewDevelopment(); throughZap(l) },
	"logrus_text":     func() { throughLogrus(logrus.New()) },
	"logrus_colours": func() {
		l := logrus.New()
		l.SetFormatter(&logrus.TextFormatter{ForceColors: true})
		throughLogrus(l)
	},
	"logrus_json": func() {
		l := logrus.New()
		l.SetFormatter(&logrus.JSONFormatter{})
		throughLogrus(l)
	},
	"zerolog_json": func() { throughZerolog(zerolog.New(os.Stdout).With().Timestamp().Logger()) },
	"zerolog_console": func() {
		throughZerolog(zerolog.New(zerolog.ConsoleWriter{Out: os.Stdout}).With().Timestamp().Logger())
	},
	"zerolog_plain": func() {
		throughZerolog(zerolog.New(zerolog.ConsoleWriter{Out: os.Stdout, NoColor: true}).With().Timestamp().Logger())
	},
	"klog": func() {
		klog.InitFlags(flag.NewFlagSet("klog", flag.ContinueOnError))
		events(plain(klog.Info), plain(klog.Warning), plain(klog.Error), plain(klog.Fatal))
	},
	"glog": func() {
		flag.Set("logtostderr", "true")
		flag.CommandLine.Parse(nil)
		events(plain(glog.Info), plain(glog.Warning), plain(glog.Error), plain(glog.Fatal))
	},
	"log15": func() {
		l := log15.New()
		l.SetHandler(log15.StreamHandler(os.Stdout, log15.LogfmtFormat()))
		with := func(f func(string, ...interface{})) say {
			return func(text string, err error) {
				if err == nil {
					f(text)
				} else {
					f(text, "err", err)
				}
			}
		}
		events(with(l.Info), with(l.Warn), with(l.Error), with(l.Crit))
	},
	"panic": func() { log.SetOutput(os.Stdout); log.Print("ready with 3 shards"); panic(pay()) },
	"recovered": func() {
		log.SetOutput(os.Stdout)
		defer func() { log.Printf("recovered from a panic: %v", recover()) }()
		panic(pay())
	},
}

func main() {
	if len(os.Args) > 1 {
		writers[os.Args[1]]()
		return
	}
	for name := range writers {
		fmt.Println(name)
	}
}
