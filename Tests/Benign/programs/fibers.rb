#!/usr/bin/ruby
# Ruby: fibers (stacks of their own), threads, processes, exceptions, and what C calls back.
require "fiddle"
require "socket"
require "tmpdir"

def probe
  Process.ppid
  # Changes nothing; the default profile traps it.
  Process::Sys.setregid(-1, -1)
  raise unless File.exist?("/")
end

def deep(levels)
  if levels == 0
    probe
    return 0
  end
  [1].each { |n| return deep(levels - 1) + n }
end

even = Fiber.new { 0.step(100, 2) { |n| probe; Fiber.yield n } }
odd = Fiber.new { 1.step(100, 2) { |n| deep(10); Fiber.yield n } }
puts (0...50).sum { |n| (n.even? ? even : odd).resume }
words = Enumerator.new { |out| %w[a b c].each { |word| probe; out << word } }
puts [words.next, words.next, words.peek].join
fibers = (0...50).map { |n| Fiber.new { |x| deep(n); x = Fiber.yield(x + n); x * 2 } }
puts fibers.sum { |f| f.resume(1) } + fibers.sum { |f| f.resume(2) }

puts [3, 1, 2].sort { |a, b| probe; a <=> b }.inspect
queue = Queue.new
threads = (0...4).map { |n| Thread.new { 20.times { queue << deep(n * 5) } } }
threads.each(&:join)
puts (0...80).sum { queue.pop }

# A method that C calls, by a closure of libffi.
compare = Class.new(Fiddle::Closure) { def call(a, b) = (probe; a[0, 4].unpack1("l") - b[0, 4].unpack1("l")) }
numbers = Fiddle::Pointer[[4, 1, 3].pack("l3")]
sort = Fiddle::Function.new(Fiddle.dlopen(nil)["qsort"], [Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_SIZE_T, Fiddle::TYPE_VOIDP], Fiddle::TYPE_VOID)
sort.call(numbers, 3, 4, compare.new(Fiddle::TYPE_INT, [Fiddle::TYPE_VOIDP, Fiddle::TYPE_VOIDP]))
puts numbers[0, 12].unpack("l3").inspect

begin
  [1].each { begin raise "inner" ensure probe end }
rescue => error
  probe
  puts error.message
end
puts catch(:done) { deep(3); throw :done, "thrown" }
puts `echo from a child`
system("true") or raise
pid = fork { exec "echo", "from fork" }
Process.wait pid
trap("USR1") { probe; $caught = true }
Process.kill "USR1", Process.pid
sleep 0.001 until $caught

server = TCPServer.new("127.0.0.1", 0)
thread = Thread.new { 10.times { caller = server.accept; caller.write caller.gets.upcase; caller.close } }
puts (0...10).sum { |n| TCPSocket.open("127.0.0.1", server.addr[1]) { |s| s.puts "hello #{n}"; s.read.size } }
thread.join
Dir.mktmpdir { |folder| 100.times { |n| File.write("#{folder}/#{n}", "x" * n) }; puts Dir["#{folder}/*"].sum { |f| File.size f } }
exit 5
