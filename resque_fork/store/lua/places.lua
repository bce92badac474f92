-- In front of every script that changes entries of a long list.

-- Where entries of a list stand now, or -1: each at the place where it was shown or at
-- most `slack` further, but never before one that was shown before it. `shown` gives
-- place and entry by turns, in the order of the places.
local function places_now(list, slack, shown)
  local first = math.max(0, tonumber(shown[1]) - slack)
  local window = redis.call('LRANGE', list, first, tonumber(shown[#shown - 1]) + slack)
  local places, moved, last = {}, 0, -1
  for i = 1, #shown, 2 do
    local expected, found = tonumber(shown[i]) + moved, -1
    for distance = 0, slack do
      for _, place in ipairs({expected - distance, expected + distance}) do
        if found < 0 and place > last and window[place - first + 1] == shown[i + 1] then
          found = place
        end
      end
      if found >= 0 then
        moved, last = found - tonumber(shown[i]), found
        break
      end
    end
    places[#places + 1] = found
  end
  return places
end

