# One worker of Ruby's Resque; its queue was filled with Resque's own payloads.
require "resque"

class Noop
  def self.perform(number); end
end

class Mark
  def self.perform(number)
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    File.write(ENV.fetch("BENCH_MARKS"), "#{number} #{Process.pid} #{now}\n", mode: "a")
  end
end

# Its classes have capital letters, and the jobs of the others have none.
class Resque::Job
  def payload_class
    { "noop" => Noop, "mark" => Mark }.fetch(@payload["class"])
  end
end

Resque.redis = Redis.new(url: ENV.fetch("BENCH_REDIS"))
Resque::Worker.new("bench").work(5)
