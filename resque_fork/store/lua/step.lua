-- Finish the job on record and reserve the next one.
--
-- KEYS  1 fork:<id>  2 worker:<id>  3 fork:unread:<id>
--       4 stat:processed  5 stat:processed:<id>  6 stat:failed  7 stat:failed:<id>
--       8 pause-all-workers  9 failed_queues  10 queues  11 fork:attempts
--       12 workers  13 worker:<id>:started  14 fork:queues:paused
--       15..20 those of retries (see retry.lua); the last is 'queue:', no key itself
--       21 fork:metrics  22, 23 'fork:marks:' and 'status:', with the namespace, no keys themselves
--       24 _kill  25.. queue:<name>, in order of priority
-- ARGV  1 token of the worker's process  2 number of this step, one more than the last
--       3 what became of the job on record: done, killed, failed, back (to the front of
--         its queue), lost (back, unless it was lost too often), later (it is retried, unless
--         it has no retries left), none (there is none)
--       4 run_at of the next job, '' to reserve none
--       5 losses that make a poison pill  6 id of the worker
--       7 digest of the payload on record, by which losses are counted
--       8..10 by what its outcome is counted (see counting.lua)
--       11..14 what is then known of it, if it is tracked (see status.lua)
--       15 digest by which retries are counted, and for later six values more (see retry.lua)
--       then failed entries, three values each (see push_failed), which failed, lost and
--         later may need
--
-- Returns, having changed nothing:
--       {'taken'} if another process is registered under this id
--       {'unregistered'} if none is
--       {'forgotten'} if the job on record is gone, and no other worker has rescued it
-- else  {finish, found, queue, run_at, payload, number of known queues,
--        1 if that queue has more jobs, 1 if any job is to be retried, {paused queue...},
--        milliseconds that the job has waited ('' unless it was marked, see marks.lua),
--        wrong key...}
--       finish: none, gone (another worker has rescued the job: nothing was counted), or ARGV 3,
--               but failed for a job that was lost too often, or has no retries left
--       found: job, unread (not fit for others), empty, paused, none (not asked)
-- Repeated, it changes nothing and returns the record as it stands.

local fork, worker, unread = unpack(KEYS, 1, 3)
local processed, own_processed, failed, own_failed = unpack(KEYS, 4, 7)
local pause, failed_queues, queues, attempts, workers, started, paused_key = unpack(KEYS, 8, 14)
local RETRY_KEYS, QUEUE_PREFIX, FIRST_QUEUE = 15, KEYS[20], 25
local metrics, MARKS_PREFIX, STATUS_PREFIX, kill = unpack(KEYS, 21, 24)
local token, step, became, next_run_at, most_losses, id, losses_digest = unpack(ARGV, 1, 7)
local COUNTED_ARGS, TRACKED_ARGS, RETRY_ARGS = 8, 11, 15
local FIRST_ENTRY = became == 'later' and RETRY_ARGS + 7 or RETRY_ARGS + 1
local state = redis.pcall('HMGET', fork, 'token', 'step', 'finish', 'pruned')
if is_wrong_type(state) then return {'unregistered'} end
if state['err'] then return state end
if state[1] ~= token then return {state[1] and 'taken' or 'unregistered'} end
local known = redis.pcall('SCARD', queues)
if type(known) == 'table' then known = -1 end
local paused = redis.pcall('SMEMBERS', paused_key)
if paused['err'] then paused = {} end

if tonumber(state[2]) >= tonumber(step) then
  local queue, run_at, payload, fit = on_record(fork, worker, unread)
  local found = not queue and 'empty' or fit and 'job' or 'unread'
  local retries = redis.call('EXISTS', KEYS[RETRY_KEYS])
  return {state[3], found, queue or '', run_at or '', payload or '', known, 0, retries, paused, ''}
end

local finish, queue, payload, due, _ = became, nil, nil, nil, nil
if finish ~= 'none' and not has_record(worker, unread) then
  local rescued = state[4] == state[2] or is_pruned(workers, started, id)
  if not rescued then return {'forgotten'} end
  finish = 'gone'
end
if finish == 'back' or finish == 'lost' or finish == 'later' then
  queue, _, payload = on_record(fork, worker, unread)
  if not queue then return {'forgotten'} end
end
local queue_key = QUEUE_PREFIX .. (queue or '')
local targets = failed_lists(FIRST_ENTRY, #ARGV)
if queue then targets[#targets + 1] = queue_key end
local refusal = refuse_unless_lists(targets, fork)
  or (finish == 'later' and refuse_retry(RETRY_KEYS, RETRY_ARGS, fork) or nil)
if refusal then return refusal end

-- A full Redis refuses a script's first write that needs memory, and none after
-- one that does not: free before you add, and nothing is refused half way.
redis.call('HDEL', fork, 'queue', 'run_at')
if finish ~= 'none' then redis.call('DEL', worker, unread) end
if finish == 'lost' and is_poison(attempts, losses_digest, most_losses) then finish = 'failed' end
if finish == 'later' then
  finish, due = retry(RETRY_KEYS, RETRY_ARGS, queues, payload)
elseif finish == 'done' or finish == 'killed' or finish == 'failed' then
  forget_retries(RETRY_KEYS, RETRY_ARGS)
end
if finish == 'back' or finish == 'lost' then
  put_back(queues, queue, queue_key, payload)
elseif finish ~= 'none' and finish ~= 'gone' then
  count(processed, own_processed)
  redis.pcall('HDEL', attempts, losses_digest)
  if finish == 'failed' then
    count(failed, own_failed)
    push_failed(FIRST_ENTRY, #ARGV, failed_queues)
  end
end
if finish ~= 'none' and finish ~= 'gone' then
  count_outcome(metrics, COUNTED_ARGS, finish)
  end_attempt(STATUS_PREFIX, kill, TRACKED_ARGS, finish, due)
end
redis.call('HSET', fork, 'step', step, 'finish', finish)

if next_run_at == '' then return {finish, 'none', '', '', '', known, 0, 0, paused, ''} end
local all = redis.pcall('GET', pause)
if type(all) == 'string' and string.lower(string.match(all, '^%s*(.-)%s*$')) == 'true' then
  return {finish, 'paused', '', '', '', known, 0, 0, paused, ''}
end
local is_paused = {}
for _, name in ipairs(paused) do is_paused[QUEUE_PREFIX .. name] = true end

-- What is popped has to go on record: see that it may, while nothing is popped. There is no
-- record now, so with XX nothing is set.
local probe = redis.pcall('SET', worker, '', 'XX')
if is_forbidden(probe) then return probe end

local reply = {finish, 'empty', '', '', '', known, 0, 0, paused, ''}
for first = FIRST_QUEUE, #KEYS, 64 do
  local last = math.min(first + 63, #KEYS)
  if first == last or redis.call('EXISTS', unpack(KEYS, first, last)) > 0 then
    for i = first, last do
      local item = not is_paused[KEYS[i]] and redis.pcall('LPOP', KEYS[i])
      if is_forbidden(item) then return item end
      if type(item) == 'table' then
        reply[#reply + 1] = KEYS[i]
      elseif item then
        local name = string.sub(KEYS[i], #QUEUE_PREFIX + 1)
        local fit = write_record(fork, worker, unread, name, next_run_at, item)
        reply[2] = fit and 'job' or 'unread'
        reply[3], reply[4], reply[5] = name, next_run_at, item
        reply[7], reply[8] = redis.call('EXISTS', KEYS[i]), redis.call('EXISTS', KEYS[RETRY_KEYS])
        reply[10] = waited(MARKS_PREFIX .. name)
        return reply
      end
    end
  end
end
return reply
