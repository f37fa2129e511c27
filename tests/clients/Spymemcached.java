import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import net.spy.memcached.CASMutation;
import net.spy.memcached.CASMutator;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.auth.AuthDescriptor;
import net.spy.memcached.auth.PlainCallbackHandler;
import net.spy.memcached.transcoders.LongTranscoder;
import net.spy.memcached.transcoders.SerializingTranscoder;

/**
 * spymemcached: Spymemcached HOST PORT text|binary [user:password] [HOST:PORT]...
 * What it says is told in checks.py; the test that runs it compiles it as well. Further servers share the keys with the first.
 */
public class Spymemcached {
	static final int[] SIZES = { 0, 1, 100, 1400, 1461, 16384, 65536, 300000, 1 << 20 };
	static final int CONNECTIONS = 200;
	static final String PREFIX = "spy-" + ProcessHandle.current().pid() + "-";

	static final List<InetSocketAddress> servers = new ArrayList<>();
	static boolean binary;
	static String login;
	static int failed;
	static long passedNs; /* when what was to expire has */
	static MemcachedClient c;

	interface Work {
		void run() throws Exception;
	}

	static void check(String name, Work work) {
		try {
			work.run();
			System.out.println("ok " + name);
		} catch (Throwable error) {
			String where = Arrays.stream(error.getStackTrace()).filter(f -> f.getClassName().equals("Spymemcached") && !f.getMethodName().equals("same"))
				.findFirst().map(f -> "line " + f.getLineNumber()).orElse("");
			System.out.println("not ok " + name + ": " + where + ": " + error);
			failed++;
		}
	}

	static void same(Object is, Object should) {
		boolean equal = should instanceof byte[] ? is instanceof byte[] && Arrays.equals((byte[])is, (byte[])should) : String.valueOf(is).equals(String.valueOf(should));
		if (!equal)
			throw new AssertionError(is + " instead of " + should);
	}

	/** Bytes of every value, among them CR LF and zero, other ones for another seed. */
	static byte[] body(int size, int seed) {
		byte[] tail = "\r\nEND\r\n\0$-1\r\n".getBytes(), all = new byte[size];
		for (int i = 0; i < size; i++) {
			int at = i % (4096 + tail.length);
			all[i] = at < 4096 ? (byte)(at * 7 + seed * 13 + at / 251) : tail[at - 4096];
		}
		return all;
	}

	static MemcachedClient open(int compressFrom) throws Exception {
		SerializingTranscoder transcoder = new SerializingTranscoder(4 << 20);
		transcoder.setCompressionThreshold(compressFrom);
		ConnectionFactoryBuilder how = new ConnectionFactoryBuilder().setOpTimeout(10000).setMaxReconnectDelay(0).setDaemon(true).setTranscoder(transcoder)
			.setProtocol(binary ? ConnectionFactoryBuilder.Protocol.BINARY : ConnectionFactoryBuilder.Protocol.TEXT);
		if (login != null) {
			String[] parts = login.split(":");
			how.setAuthDescriptor(new AuthDescriptor(new String[] { "PLAIN" }, new PlainCallbackHandler(parts[0], parts[1])));
		}
		return new MemcachedClient(how.build(), servers);
	}

	static boolean of(Future<Boolean> answer) throws Exception {
		return answer.get(10, TimeUnit.SECONDS);
	}

	static boolean set(String name, Object value) throws Exception {
		return of(c.set(PREFIX + name, 0, value));
	}

	static Object get(String name) {
		return c.get(PREFIX + name);
	}

	static void single() {
		check("set get delete", () -> {
			same(set("a", "one"), true);
			same(get("a"), "one");
			same(of(c.delete(PREFIX + "a")), true);
			same(get("a"), null);
			same(of(c.delete(PREFIX + "a")), false);
		});
		check("kinds of values", () -> {
			for (Object value : new Object[] { 7, 1L << 40, "ключ", true, 1.5, new ArrayList<>(List.of(1, "two")), body(20, 1) }) {
				same(set("k", value), true);
				same(get("k"), value);
			}
		});
		for (int size : SIZES)
			check("value of " + size + " B", () -> {
				same(set("l", body(size, 1)), true);
				same(get("l"), body(size, 1));
			});
		check("compressed", () -> {
			MemcachedClient other = open(1000);
			same(of(other.set(PREFIX + "z", 0, "z".repeat(500000))), true);
			same(other.get(PREFIX + "z"), "z".repeat(500000));
			other.shutdown();
		});
		check("key of 250 bytes", () -> {
			String name = "x".repeat(250 - PREFIX.length());
			same(set(name, "v"), true);
			same(get(name), "v");
		});
		check("add replace append prepend", () -> {
			same(of(c.add(PREFIX + "x", 0, "b")), true);
			same(of(c.add(PREFIX + "x", 0, "c")), false);
			same(of(c.replace(PREFIX + "x", 0, "bb")), true);
			same(of(c.replace(PREFIX + "none", 0, "bb")), false);
			same(of(c.append(PREFIX + "x", "c")), true);
			same(of(c.prepend(PREFIX + "x", "a")), true);
			same(of(c.append(PREFIX + "none", "c")), false);
			same(get("x"), "abbc");
		});
		check("gets and cas", () -> {
			CASValue<Object> seen = c.gets(PREFIX + "x");
			same(seen.getValue(), "abbc");
			same(c.cas(PREFIX + "x", seen.getCas(), "new"), CASResponse.OK);
			same(c.cas(PREFIX + "x", seen.getCas(), "newer"), CASResponse.EXISTS);
			same(c.cas(PREFIX + "none", seen.getCas(), "new"), CASResponse.NOT_FOUND);
			same(get("x"), "new");
			same(c.gets(PREFIX + "none"), null);
		});
		check("counters", () -> {
			same(set("n", "10"), true);
			same(c.incr(PREFIX + "n", 5), 15);
			same(c.decr(PREFIX + "n", 6), 9);
			same(c.decr(PREFIX + "n", 100), 0);
			same(c.incr(PREFIX + "none", 1), -1);
			same(c.incr(PREFIX + "n2", 1, 5), 5);
			same(c.incr(PREFIX + "n2", 2, 5), 7);
			same(String.valueOf(get("n2")).trim(), "7");
		});
		check("a counter that is none", () -> {
			same(set("w", "word"), true);
			same(c.incr(PREFIX + "w", 1), -1); // with the text protocol it ends the connection and comes again
			same(get("w"), "word");
		});
		check("expiry and touch", () -> {
			for (String name : List.of("e1", "e2", "e3"))
				same(of(c.set(PREFIX + name, 1, "1")), true);
			same(of(c.touch(PREFIX + "e2", 100)), true);
			same(of(c.touch(PREFIX + "none", 100)), false);
			if (binary) // the text protocol's client has no word for it
				same(c.getAndTouch(PREFIX + "e3", 100).getValue(), "1");
			passedNs = System.nanoTime() + 2100000000L;
		});
		check("value too large", () -> {
			try {
				same(of(c.set(PREFIX + "huge", 0, new byte[3 << 20])) || !binary, false);
			} catch (ExecutionException error) {
				same(!binary && error.getMessage().contains("SERVER_ERROR object too large for cache"), true);
			}
			same(set("a", "1"), true);
			same(get("a"), "1");
		});
	}

	/** What it sends ahead: sets without replies and gets made one, with the binary protocol. */
	static void several() {
		check("two thousand in flight", () -> {
			List<Future<Boolean>> stored = new ArrayList<>();
			List<Future<Object>> found = new ArrayList<>();
			for (int i = 0; i < 1000; i++)
				stored.add(c.set(PREFIX + "f" + i, 0, "value " + i));
			for (int i = 0; i < 1000; i++)
				found.add(c.asyncGet(PREFIX + "f" + i));
			for (int i = 0; i < 1000; i++) {
				same(of(stored.get(i)), true);
				same(found.get(i).get(10, TimeUnit.SECONDS), "value " + i);
			}
		});
		check("get of many", () -> {
			List<String> names = new ArrayList<>(List.of(PREFIX + "none"));
			Map<String, Object> wanted = new HashMap<>();
			for (int i = 0; i < 500; i++) {
				names.add(PREFIX + "f" + i);
				wanted.put(PREFIX + "f" + i, "value " + i);
			}
			same(c.getBulk(names).equals(wanted), true);
		});
		check("get of many large", () -> {
			List<String> names = new ArrayList<>();
			for (int i = 0; i < 10; i++) {
				names.add(PREFIX + "b" + i);
				same(set("b" + i, body(200000, i)), true);
			}
			Map<String, Object> found = c.getBulk(names);
			for (int i = 0; i < 10; i++)
				same(found.get(names.get(i)), body(200000, i));
		});
		check("a mutator in twenty threads", () -> {
			Thread[] threads = new Thread[20];
			for (int i = 0; i < threads.length; i++) {
				threads[i] = new Thread(() -> {
					CASMutator<Long> mutator = new CASMutator<>(c, new LongTranscoder(), 1000);
					CASMutation<Long> more = n -> n + 1;
					try {
						for (int k = 0; k < 10; k++)
							mutator.cas(PREFIX + "mutated", 1L, 0, more);
					} catch (Exception error) {
						System.out.println("# " + error);
					}
				});
				threads[i].start();
			}
			for (Thread thread : threads)
				thread.join();
			same(c.get(PREFIX + "mutated", new LongTranscoder()), 200);
		});
		check("versions and statistics", () -> {
			for (String version : c.getVersions().values())
				same(version.startsWith("1."), true);
			same(c.getStats().size(), servers.size());
			for (Map<String, String> stats : c.getStats().values())
				same(Long.parseLong(stats.get("curr_items")) >= 1 && stats.containsKey("limit_maxbytes"), true);
			for (Map<String, String> settings : c.getStats("settings").values())
				same(settings.containsKey("maxconns"), true);
		});
		check("two hundred connections", () -> {
			MemcachedClient[] many = new MemcachedClient[CONNECTIONS];
			for (int i = 0; i < many.length; i++)
				many[i] = open(Integer.MAX_VALUE);
			for (int round = 0; round < 5; round++) {
				List<Future<Object>> found = new ArrayList<>();
				for (int i = 0; i < many.length; i++) {
					many[i].set(PREFIX + "c" + i, 0, i + "-" + round);
					found.add(many[i].asyncGet(PREFIX + "c" + i));
				}
				for (int i = 0; i < many.length; i++)
					same(found.get(i).get(10, TimeUnit.SECONDS), i + "-" + round);
			}
			for (MemcachedClient one : many)
				one.shutdown();
		});
		if (binary && login == null) // the wait is the same with the others
			check("what has expired", () -> {
				Thread.sleep(Math.max(0, (passedNs - System.nanoTime()) / 1000000));
				same(get("e1"), null);
				same(get("e2"), "1");
				same(get("e3"), "1");
			});
		check("flush", () -> {
			same(set("gone", "1"), true);
			same(of(c.flush()), true);
			same(get("gone"), null);
		});
	}

	public static void main(String[] arguments) throws Exception {
		servers.add(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])));
		binary = arguments[2].equals("binary");
		for (int i = 3; i < arguments.length; i++) {
			String[] parts = arguments[i].split(":");
			if (parts[1].matches("\\d+"))
				servers.add(new InetSocketAddress(parts[0], Integer.parseInt(parts[1])));
			else
				login = arguments[i];
		}
		System.out.println("client spymemcached/" + (binary ? "binary" : "text") + " on Java " + Runtime.version());
		c = open(Integer.MAX_VALUE);
		single();
		several();
		c.shutdown();
		System.exit(failed > 0 ? 1 : 0);
	}
}
