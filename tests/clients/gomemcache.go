// gomemcache (memcached's text protocol): gomemcache HOST PORT [HOST:PORT]...
// The test that runs it compiles it with checks.go. Further servers share the keys with the first.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var servers []string
var prefix = fmt.Sprintf("gomemcache-%d-", os.Getpid())

func open() *memcache.Client {
	c := memcache.New(servers...)
	c.Timeout = 10 * time.Second
	return c
}

func item(name string, value []byte) *memcache.Item {
	return &memcache.Item{Key: prefix + name, Value: value}
}

func value(c *memcache.Client, name string) []byte {
	it, err := c.Get(prefix + name)
	must(err)
	return it.Value
}

func miss(c *memcache.Client, name string) {
	_, err := c.Get(prefix + name)
	fails(err, memcache.ErrCacheMiss)
}

func single(c *memcache.Client) {
	check("set get delete", func() {
		must(c.Set(item("a", []byte("1"))))
		sameBytes(value(c, "a"), []byte("1"))
		must(c.Delete(prefix + "a"))
		miss(c, "a")
		fails(c.Delete(prefix+"a"), memcache.ErrCacheMiss)
	})
	for _, size := range sizes {
		check(fmt.Sprintf("value of %d B", size), func() {
			must(c.Set(item("l", body(size, 1))))
			sameBytes(value(c, "l"), body(size, 1))
		})
	}
	check("key of 250 bytes", func() {
		name := strings.Repeat("x", 250-len(prefix))
		must(c.Set(item(name, []byte("v"))))
		sameBytes(value(c, name), []byte("v"))
	})
	check("keys that are none", func() {
		fails(c.Set(item(strings.Repeat("x", 251), nil)), memcache.ErrMalformedKey)
		_, err := c.Get("a b")
		fails(err, memcache.ErrMalformedKey)
	})
	check("add replace", func() {
		must(c.Add(item("x", []byte("b"))))
		fails(c.Add(item("x", []byte("c"))), memcache.ErrNotStored)
		must(c.Replace(item("x", []byte("bb"))))
		fails(c.Replace(item("none", []byte("b"))), memcache.ErrNotStored)
		sameBytes(value(c, "x"), []byte("bb"))
	})
	check("flags", func() {
		it := item("f", []byte("v"))
		it.Flags = 4294967295
		must(c.Set(it))
		got, err := c.Get(it.Key)
		must(err)
		same(got.Flags, it.Flags)
	})
	check("compare and swap", func() {
		first, err := c.Get(prefix + "x")
		must(err)
		second, err := c.Get(prefix + "x")
		must(err)
		first.Value = []byte("new")
		must(c.CompareAndSwap(first))
		second.Value = []byte("newer")
		fails(c.CompareAndSwap(second), memcache.ErrCASConflict)
		must(c.Delete(prefix + "x"))
		fails(c.CompareAndSwap(second), memcache.ErrCacheMiss)
	})
	check("counters", func() {
		must(c.Set(item("n", []byte("10"))))
		for _, step := range []struct {
			call  func(string, uint64) (uint64, error)
			delta uint64
			want  uint64
		}{{c.Increment, 5, 15}, {c.Decrement, 6, 9}, {c.Decrement, 100, 0}, {c.Increment, 1<<64 - 1, 1<<64 - 1}, {c.Increment, 1, 0}} {
			n, err := step.call(prefix+"n", step.delta)
			must(err)
			same(n, step.want)
		}
		_, err := c.Increment(prefix+"none", 1)
		fails(err, memcache.ErrCacheMiss)
		must(c.Set(item("n", []byte("word"))))
		_, err = c.Increment(prefix+"n", 1)
		same(err, "memcache: client error: cannot increment or decrement non-numeric value")
		sameBytes(value(c, "n"), []byte("word"))
	})
	check("expiry and touch", func() {
		for i, seconds := range []int32{1, 1, -1, 100} {
			it := item(fmt.Sprintf("e%d", i), []byte("1"))
			it.Expiration = seconds
			must(c.Set(it))
		}
		must(c.Touch(prefix+"e1", 100))
		fails(c.Touch(prefix+"none", 100), memcache.ErrCacheMiss)
		miss(c, "e2")
		if len(servers) > 1 {
			return // the wait is the same as at one server
		}
		time.Sleep(2100 * time.Millisecond)
		miss(c, "e0")
		sameBytes(value(c, "e1"), []byte("1"))
		sameBytes(value(c, "e3"), []byte("1"))
	})
	check("value too large", func() {
		if err := c.Set(item("huge", make([]byte, 3<<20))); err == nil || !strings.Contains(err.Error(), "too large") {
			panic(fmt.Sprint("error ", err))
		}
		must(c.Set(item("a", []byte("1"))))
		sameBytes(value(c, "a"), []byte("1"))
	})
}

func several(c *memcache.Client) {
	check("get of many", func() {
		names := []string{prefix + "none"}
		for i := 0; i < 200; i++ {
			must(c.Set(item(fmt.Sprintf("m%d", i), []byte(fmt.Sprint(i)))))
			names = append(names, fmt.Sprintf("%sm%d", prefix, i))
		}
		found, err := c.GetMulti(names)
		must(err)
		same(len(found), 200)
		for i := 0; i < 200; i++ {
			sameBytes(found[fmt.Sprintf("%sm%d", prefix, i)].Value, []byte(fmt.Sprint(i)))
		}
	})
	check("get of many large", func() {
		var names []string
		for i := 0; i < 10; i++ {
			must(c.Set(item(fmt.Sprintf("b%d", i), body(200000, i))))
			names = append(names, fmt.Sprintf("%sb%d", prefix, i))
		}
		found, err := c.GetMulti(names)
		must(err)
		for i, name := range names {
			sameBytes(found[name].Value, body(200000, i))
		}
	})
	check("two hundred connections", func() {
		clients := make([]*memcache.Client, 200)
		for i := range clients {
			clients[i] = open()
		}
		for round := 0; round < 5; round++ {
			together(len(clients), func(i int) {
				name, text := fmt.Sprintf("c%d", i), []byte(fmt.Sprintf("%d-%d", i, round))
				must(clients[i].Set(item(name, text)))
				sameBytes(value(clients[i], name), text)
			})
		}
	})
	// It keeps two connections that are idle and ends the others: here hundreds come and go.
	check("fifty at one client", func() {
		together(50, func(i int) {
			for round := 0; round < 10; round++ {
				name, text := fmt.Sprintf("t%d", i), body(10+(i*37+round*501)%3000, i)
				must(c.Set(item(name, text)))
				sameBytes(value(c, name), text)
			}
		})
	})
	check("flush", func() {
		must(c.Set(item("f", []byte("1"))))
		must(c.FlushAll())
		miss(c, "f")
	})
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	servers = append([]string{os.Args[1] + ":" + os.Args[2]}, os.Args[3:]...)
	fmt.Println("client gomemcache", runtime.Version())
	c := open()
	single(c)
	several(c)
	end()
}
