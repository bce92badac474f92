-- Queue failed jobs again, each marked in its entry with the time of the retry.
--
-- KEYS  1 list of failed entries  2 queues
-- ARGV  1 how far from its place an entry is looked for
--       2 'queue:' with namespace
--       3.. five values an entry, in the order of the places: place where it was shown,
--       the entry as it was shown, the entry with retried_at, queue, payload
-- Returns for each entry the place where it stands, or -1 if it is not there (nothing was
-- queued).

local shown, queue_keys, known = {}, {}, {}
for i = 3, #ARGV, 5 do
  shown[#shown + 1] = ARGV[i]
  shown[#shown + 1] = ARGV[i + 1]
  if not known[ARGV[i + 3]] then
    known[ARGV[i + 3]] = true
    queue_keys[#queue_keys + 1] = ARGV[2] .. ARGV[i + 3]
  end
end
-- All that could be refused half way is asked for before.
local refusal = refuse_unless_lists(queue_keys) or refuse_unless('set', KEYS[2])
if refusal then return refusal end
local places = places_now(KEYS[1], tonumber(ARGV[1]), shown)

for n, place in ipairs(places) do
  local queue = ARGV[5 * n + 1]
  if place >= 0 and known[queue] then
    redis.call('SADD', KEYS[2], queue)
    known[queue] = nil
  end
end
local push = redis.call('EXISTS', KEYS[2]) == 1 and redis.pcall('RPUSH', KEYS[2], '')
if is_forbidden(push) then return push end -- else a set cannot be pushed to

for n, place in ipairs(places) do
  local i = 5 * n - 2
  if place >= 0 then
    redis.call('LSET', KEYS[1], place, ARGV[i + 2])
    redis.call('RPUSH', ARGV[2] .. ARGV[i + 3], ARGV[i + 4])
  end
end
return places
