// redigo: redigo HOST PORT [cluster]
// The test that runs it compiles it with checks.go. A cluster's node lists only its own keys.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

var address string
var prefix = fmt.Sprintf("redigo-%d:", os.Getpid())

func dial() (redis.Conn, error) {
	return redis.Dial("tcp", address, redis.DialConnectTimeout(5*time.Second), redis.DialReadTimeout(10*time.Second),
		redis.DialWriteTimeout(10*time.Second), redis.DialClientName("redigo"))
}

func ask(c redis.Conn, command string, args ...interface{}) interface{} {
	reply, err := c.Do(command, args...)
	must(err)
	return reply
}

func refused(c redis.Conn, text, command string, args ...interface{}) {
	_, err := c.Do(command, args...)
	if _, told := err.(redis.Error); !told || !strings.HasPrefix(err.Error(), text) {
		panic(fmt.Sprintf("%s: %v instead of %s", command, err, text))
	}
}

func text(reply interface{}) string {
	s, err := redis.String(reply, nil)
	must(err)
	return s
}

func strs(c redis.Conn) {
	k := func(name string) string { return prefix + name }
	check("set get del", func() {
		same(ask(c, "SET", k("a"), 1), "OK")
		same(text(ask(c, "GET", k("a"))), "1")
		same(ask(c, "DEL", k("a")), 1)
		_, err := redis.String(c.Do("GET", k("a")))
		fails(err, redis.ErrNil)
	})
	for _, size := range sizes {
		check(fmt.Sprintf("value of %d B", size), func() {
			same(ask(c, "SET", k("l"), body(size, 1)), "OK")
			got, err := redis.Bytes(c.Do("GET", k("l")))
			must(err)
			sameBytes(got, body(size, 1))
		})
	}
	check("keys of any bytes", func() {
		key := append([]byte(prefix), "\x00\r\n\xff"...)
		ask(c, "SET", key, key)
		got, err := redis.Bytes(c.Do("GET", key))
		must(err)
		sameBytes(got, key)
	})
	check("counters", func() {
		same(ask(c, "INCR", k("n")), 1)
		same(ask(c, "INCRBY", k("n"), -10), -9)
		f, err := redis.Float64(c.Do("INCRBYFLOAT", k("n"), 0.5))
		must(err)
		same(f, -8.5)
	})
	check("expiry", func() {
		same(ask(c, "SET", k("e"), "1", "NX", "PX", 60), "OK")
		same(ask(c, "SET", k("e"), "2", "NX"), nil)
		time.Sleep(80 * time.Millisecond)
		same(ask(c, "TTL", k("e")), -2)
		same(ask(c, "SETEX", k("e"), 100, "1"), "OK")
		same(ask(c, "PERSIST", k("e")), 1)
		same(ask(c, "TTL", k("e")), -1)
	})
	check("mset mget", func() {
		args := redis.Args{}
		names := redis.Args{}
		for i := 0; i < 100; i++ {
			args = args.Add(k(fmt.Sprint("m", i)), i)
			names = names.Add(k(fmt.Sprint("m", i)))
		}
		same(ask(c, "MSET", args...), "OK")
		got, err := redis.Ints(c.Do("MGET", names...))
		must(err)
		for i, n := range got {
			same(n, i)
		}
		pair, err := redis.Values(c.Do("MGET", names[0], k("none")))
		must(err)
		same(pair[1], nil)
	})
	check("errors", func() {
		ask(c, "SET", k("w"), "word")
		refused(c, "ERR value is not an integer or out of range", "INCR", k("w"))
		refused(c, "ERR unknown command 'NOSUCH'", "NOSUCH", "a")
		refused(c, "ERR wrong number of arguments for 'get' command", "GET")
		same(ask(c, "PING"), "PONG")
		must(c.Err())
	})
}

// Commands ahead of their replies, several at once, and what depends on others.
func ahead(c redis.Conn) {
	k := func(name string) string { return prefix + name }
	check("pipeline of 2000", func() {
		for i := 0; i < 1000; i++ {
			must(c.Send("SET", k(fmt.Sprint("p", i%50)), i))
			must(c.Send("GET", k(fmt.Sprint("p", i%50))))
		}
		must(c.Flush())
		for i := 0; i < 1000; i++ {
			reply, err := c.Receive()
			must(err)
			same(reply, "OK")
			n, err := redis.Int(c.Receive())
			must(err)
			same(n, i)
		}
	})
	check("Do behind Send", func() {
		for i := 0; i < 10; i++ {
			must(c.Send("INCR", k("s")))
		}
		all, err := redis.Ints(c.Do(""))
		must(err)
		same(all, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	})
	check("multi exec", func() {
		must(c.Send("MULTI"))
		must(c.Send("SET", k("{x}1"), 1))
		must(c.Send("INCR", k("{x}1")))
		all, err := redis.Values(c.Do("EXEC"))
		must(err)
		same(all, []interface{}{"OK", 2})
	})
	check("watch", func() {
		other, err := dial()
		must(err)
		defer other.Close()
		same(ask(c, "WATCH", k("{x}1")), "OK")
		same(ask(other, "SET", k("{x}1"), "other"), "OK")
		must(c.Send("MULTI"))
		must(c.Send("SET", k("{x}1"), "mine"))
		same(ask(c, "EXEC"), nil)
		same(text(ask(c, "GET", k("{x}1"))), "other")
	})
	check("a lock's script, by text and by SHA-1", func() {
		release := redis.NewScript(1, "if redis.call('get', KEYS[1]) == ARGV[1] then\n return redis.call('del', KEYS[1])\nelse\n return 0\nend")
		same(ask(c, "SET", k("lock"), "me", "NX", "PX", 10000), "OK")
		for _, step := range []struct {
			holder string
			want   int
		}{{"other", 0}, {"me", 1}, {"me", 0}} {
			n, err := redis.Int(release.Do(c, k("lock"), step.holder))
			must(err)
			same(n, step.want)
		}
		must(release.Load(c))
		must(release.SendHash(c, k("lock"), "me"))
		must(c.Flush())
		n, err := redis.Int(c.Receive())
		must(err)
		same(n, 0)
	})
	if len(os.Args) > 3 {
		return
	}
	check("scan", func() {
		for i := 0; i < 300; i++ {
			must(c.Send("SET", k(fmt.Sprint("scan", i)), i))
		}
		ask(c, "")
		found, cursor := map[string]bool{}, 0
		for first := true; first || cursor != 0; first = false {
			reply, err := redis.Values(c.Do("SCAN", cursor, "MATCH", k("scan*"), "COUNT", 50))
			must(err)
			var names []string
			_, err = redis.Scan(reply, &cursor, &names)
			must(err)
			for _, name := range names {
				found[name] = true
			}
		}
		same(len(found), 300)
	})
}

func pools() {
	pool := &redis.Pool{MaxIdle: 200, MaxActive: 200, Wait: true, Dial: dial,
		TestOnBorrow: func(c redis.Conn, _ time.Time) error { _, err := c.Do("PING"); return err }}
	defer pool.Close()
	check("two hundred connections of a pool", func() {
		taken := make([]redis.Conn, 200)
		for i := range taken {
			taken[i] = pool.Get()
		}
		for round := 0; round < 5; round++ {
			together(len(taken), func(i int) {
				key, value := fmt.Sprintf("%sc%d", prefix, i), fmt.Sprintf("%d-%d", i, round)
				must(taken[i].Send("SET", key, value))
				same(text(ask(taken[i], "GET", key)), value)
			})
		}
		same(pool.ActiveCount(), 200)
		for _, c := range taken {
			must(c.Close())
		}
		same(pool.IdleCount(), 200)
	})
	check("five hundred that share them", func() {
		together(500, func(i int) {
			c := pool.Get()
			defer c.Close()
			same(ask(c, "INCR", fmt.Sprintf("%st%d", prefix, i)), 1)
		})
		same(pool.ActiveCount(), 200)
	})
	check("reconnect", func() {
		for i := 0; i < 20; i++ {
			c, err := dial()
			must(err)
			same(text(ask(c, "CLIENT", "GETNAME")), "redigo")
			same(ask(c, "SET", prefix+"again", i), "OK")
			must(c.Close())
		}
	})
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	address = os.Args[1] + ":" + os.Args[2]
	fmt.Println("client redigo", runtime.Version())
	c, err := dial()
	check("connect", func() { must(err) })
	if err != nil {
		os.Exit(1)
	}
	strs(c)
	ahead(c)
	c.Close()
	pools()
	end()
}
