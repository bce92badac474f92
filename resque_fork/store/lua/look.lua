-- Tell a worker who else there is, and what is asked of it.
--
-- KEYS  1 workers  2 fork:workers  3 fork:ask:<id>
-- ARGV  none
-- Returns {{id...}, {request...}}; the requests, at most ten, are taken off their list.

local refusal = refuse_unless('set', KEYS[1]) or refuse_unless('set', KEYS[2])
if refusal then return refusal end
local requests = redis.pcall('LPOP', KEYS[3], 10)
if type(requests) ~= 'table' or requests['err'] then requests = {} end
return {redis.call('SUNION', KEYS[1], KEYS[2]), requests}
