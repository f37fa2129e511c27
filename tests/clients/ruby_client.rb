# dalli and redis-rb: ruby_client.rb HOST PORT dalli|redis [user:password]
host, port, how, login = ARGV
$failed = 0
P = "ruby-#{how}-#{$$}-"
SIZES = [0, 1, 100, 1400, 1461, 16384, 65536, 300_000, 1 << 20]

def check(name)
  yield
  puts "ok #{name}"
rescue StandardError => e
  $failed += 1
  puts "not ok #{name}: line #{e.backtrace.map { |l| l[/ruby_client.rb:(\d+)/, 1] }.compact.first}: #{e.class}: #{e.message[0, 300]}"
end

def same(is, should)
  raise "#{is.inspect[0, 200]} instead of #{should.inspect[0, 200]}" unless is == should
end

def body(size, seed = 1)
  unit = (0...4096).map { |i| (i * 7 + seed * 13 + i / 251) & 255 }.pack("C*") + "\r\nEND\r\n\0".b
  (unit * (size / unit.size + 1))[0, size]
end

if how == "dalli"
  require "dalli"
  puts "client dalli/binary #{Dalli::VERSION}"
  user, password = login ? login.split(":") : [nil, nil]
  options = { value_max_bytes: 1 << 21, socket_timeout: 10, username: user, password: password }.compact
  c = Dalli::Client.new("#{host}:#{port}", options)
  check("set get delete") { c.set(P + "a", "one"); same(c.get(P + "a"), "one"); same(c.delete(P + "a"), true); same(c.get(P + "a"), nil) }
  SIZES.each { |size| check("value of #{size} B") { c.set(P + "l", body(size)); same(c.get(P + "l"), body(size)) } }
  check("add replace append prepend") do
    raw = { raw: true } # of add and get, or an appended value is no Ruby object any more
    same(!!c.add(P + "x", "b", nil, raw), true); same(c.add(P + "x", "c"), false); same(!!c.replace(P + "x", "bb", nil, raw), true)
    c.append(P + "x", "c"); c.prepend(P + "x", "a"); same(c.get(P + "x", raw), "abbc")
  end
  check("cas") do
    c.set(P + "x", "abbc")
    same(!!c.cas(P + "x") { |value| value + "!" }, true)
    same(c.get(P + "x"), "abbc!")
    same(c.cas(P + "x") { |value| c.set(P + "x", "other"); value + "?" }, false)
    same(c.get(P + "x"), "other")
  end
  check("counters") { same(c.incr(P + "n", 1, nil, 5), 5); same(c.incr(P + "n", 2), 7); same(c.decr(P + "n", 100), 0); same(c.incr(P + "none", 1), nil) }
  check("get_multi of 100") do
    many = (0...100).to_h { |i| [P + "m#{i}", "v#{i}"] }
    c.multi { many.each { |key, value| c.set(key, value) } }
    same(c.get_multi(many.keys + [P + "none"]), many)
  end
  check("expiry, touch, get and touch") do
    c.set(P + "e1", "1", 1); c.set(P + "e2", "1", 1); same(!!c.touch(P + "e2", 100), true); c.set(P + "e3", "1", 1); same(c.gat(P + "e3", 100), "1")
    sleep 2.1
    same([c.get(P + "e1"), c.get(P + "e2"), c.get(P + "e3")], [nil, "1", "1"])
  end
  check("stats version") { same(c.stats.values[0]["curr_items"].to_i >= 1, true); same(c.version.size, 1); c.stats(:settings); c.stats(:items) }
  check("reconnect") { 20.times { |i| c.close; c.set(P + "again", i.to_s); same(c.get(P + "again"), i.to_s) } }
else
  require "redis"
  puts "client redis-rb #{Redis::VERSION}"
  r = Redis.new(host: host, port: port.to_i, timeout: 10, password: login)
  check("set get del") { same(r.set(P + "a", "1"), "OK"); same(r.get(P + "a"), "1"); same(r.del(P + "a"), 1); same(r.get(P + "a"), nil) }
  SIZES.each { |size| check("value of #{size} B") { r.set(P + "l", body(size)); same(r.get(P + "l").b, body(size)) } }
  check("expiry") do
    same(r.set(P + "e", "1", nx: true, ex: 100), true); same(r.set(P + "e", "1", nx: true), false)
    same(r.ttl(P + "e") > 98, true); same(r.persist(P + "e"), true); same(r.getex(P + "e", px: 5000), "1"); same(r.pttl(P + "e") <= 5000, true)
  end
  check("counters") { same(r.incr(P + "n"), 1); same(r.incrby(P + "n", 9), 10); same(r.decr(P + "n"), 9); same(r.incrbyfloat(P + "f", 1.5), 1.5) }
  check("mapped mset mget") do
    many = (0...100).to_h { |i| [P + "m#{i}", i.to_s] }
    same(r.mapped_mset(many), "OK"); same(r.mapped_mget(*many.keys), many)
  end
  check("pipeline") { answers = r.pipelined { |p| 300.times { |i| p.set(P + "p", i); p.get(P + "p") } }; same(answers.last, "299") }
  check("multi and watch") do
    same(r.multi { |m| m.set(P + "x", "1"); m.incr(P + "x") }, ["OK", 2])
    other = Redis.new(host: host, port: port.to_i, password: login)
    same(r.watch(P + "x") { other.set(P + "x", "other"); r.multi { |m| m.set(P + "x", "mine") } }, nil)
    same(r.get(P + "x"), "other")
    other.close
  end
  check("lock script") do
    script = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end'
    r.set(P + "lock", "me"); same(r.eval(script, [P + "lock"], ["you"]), 0); same(r.eval(script, [P + "lock"], ["me"]), 1)
  end
  check("scan") { same(r.scan_each(match: P + "m*", count: 50).to_a.uniq.size, 100) }
  check("info") { same(r.info.key?("redis_version"), true) }
  check("errors") do
    r.set(P + "w", "word")
    begin
      r.incr(P + "w")
      raise "no error"
    rescue Redis::CommandError => e
      same(e.message, "ERR value is not an integer or out of range")
    end
    same(r.ping, "PONG")
  end
  check("reconnect") { 20.times { |i| r.close; r.set(P + "again", i) } }
end
exit($failed.zero? ? 0 : 1)
