-- Remove entries from a list, by value.
--
-- KEYS  1 list
-- ARGV  1 how far from its place an entry is looked for
--       2 up to which distance from an end others are moved up
--       3 LPOP or RPOP: what fills the gaps of those further away
--       4 a mark that nothing in the list is equal to
--       5.. two values an entry, in the order of the places: place where it was shown,
--       the entry as it was shown
-- Returns for each entry the place where it stood, or -1 if it is not there.

local list, length = KEYS[1], redis.call('LLEN', KEYS[1])
local shown = {}
for i = 5, #ARGV do shown[#shown + 1] = ARGV[i] end
local places = places_now(list, tonumber(ARGV[1]), shown)

local standing = {}
for _, place in ipairs(places) do
  if place >= 0 then standing[#standing + 1] = place end
end
if #standing == 0 then return places end

redis.call('LTRIM', list, 0, -1) -- changes nothing, but a full Redis then takes what follows
local from_first, from_last = standing[#standing], length - 1 - standing[1]
if math.min(from_first, from_last) <= tonumber(ARGV[2]) then
  for _, place in ipairs(standing) do redis.call('LSET', list, place, ARGV[4]) end
  redis.call('LREM', list, from_first <= from_last and #standing or -#standing, ARGV[4])
else
  for i, place in ipairs(standing) do
    local other = redis.call(ARGV[3], list)
    redis.call('LSET', list, ARGV[3] == 'LPOP' and place - i or place, other)
  end
end
return places
