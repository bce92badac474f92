-- Say of tracked jobs that were taken out of their queue that they are killed.
--
-- KEYS  1 'status:', with the namespace, no key itself  2 _kill
-- ARGV  ids of the jobs
-- Returns 1.

for _, id in ipairs(ARGV) do
  end_wait(KEYS[1], id, 'queued', 'killed')
  redis.pcall('SREM', KEYS[2], id)
end
return 1
