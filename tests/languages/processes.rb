# Ruby: programs, threads, signals, files and modules of its library.
require "digest"
require "json"
require "open3"
require "tempfile"
require "timeout"
require "zlib"

$stdout.sync = true
puts `echo backticks; exit 3`, $?.exitstatus
pid = fork { exit 4 }
Process.wait pid
p $?.exitstatus, system("exit 5"), $?.exitstatus, system("/no/program")
p Open3.capture3("tr a-z A-Z; echo err >&2; exit 6", stdin_data: "abc").first(2)
IO.popen(["cat", "-n"], "r+") { |io| io.puts "x"; io.close_write; p io.read }
pid = spawn("kill -9 $$")
Process.wait pid
p $?.termsig

p Thread.new { Thread.current[:x] = 1; 5 }.value
queue = Queue.new
threads = 4.times.map { |n| Thread.new { 10.times { |i| queue << n * i } } }
threads.each(&:join)
p queue.size, 40.times.sum { queue.pop }
begin
  Timeout.timeout(0.05) { sleep 60 }
rescue Timeout::Error => error
  p error.class
end
reader, writer = IO.pipe
trap("USR1") { writer.puts "caught" }
Process.kill("USR1", $$)
p reader.gets
p Fiber.new { Fiber.yield 1; 2 }.then { |fiber| [fiber.resume, fiber.resume] }

Tempfile.create do |file|
  file.write "x" * 5000
  file.flush
  p File.size(file.path), file.flock(File::LOCK_EX)
end
Dir.mktmpdir do |folder|
  Dir.chdir(folder) do
    3.times { |n| File.write("f#{n}", n.to_s) }
    File.symlink("f1", "link")
    p Dir.glob("*").sort, File.read("link"), File.stat("f2").size, File.lstat("link").symlink?
  end
end
begin
  File.read("/no/file")
rescue SystemCallError => error
  p error
end
p Digest::SHA256.hexdigest("a")[0, 8], Zlib.inflate(Zlib.deflate("z" * 1000)).size
puts JSON.generate({ a: [1, nil, "\u00e9"] }).length, 2**100, Rational(1, 3) + 1
p 200_000.times.map(&:to_s).join.size
exec "sh", "-c", "exit 7"
