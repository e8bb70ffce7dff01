/* SPDX-License-Identifier: MIT */
#include "script.h"

const struct script script_shards = {
	.sha1 = "1213db718d66c01fa369e8a75e4651b34d8612ea",
	.text = "local old = redis.call('HGET', KEYS[1], ARGV[1]) or '1 1'\n"
		"local most = tonumber(string.match(old, ' (%d+)$'))\n"
		"if tonumber(ARGV[2]) > most then most = tonumber(ARGV[2]) end\n"
		"local new = string.format('%d %d', ARGV[2], most)\n"
		"redis.call('HSET', KEYS[1], ARGV[1], new)\n"
		"return new\n",
};

const struct script script_once = {
	.sha1 = "3770f8147409cf0a9f04c06d07512b05e4f81b2b",
	.text = "local delta = redis.call('GET', KEYS[2])\n"
		"if delta then\n"
		"  if delta ~= ARGV[1] then\n"
		"    return redis.error_reply('ERR this token was used with another delta: ' .. delta)\n"
		"  end\n"
		"  return {redis.call('GET', KEYS[1]) or '0', 0}\n"
		"end\n"
		"redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])\n"
		"return {redis.call('GET', KEYS[1]), 1}\n",
};

const struct script script_bound = {
	.sha1 = "c64d14cfe116567cccea07d6cdb6b504e69e2e91",
	.text = "local function less(a, b)\n"
		"  local minus_a, minus_b = string.sub(a, 1, 1) == '-', string.sub(b, 1, 1) == '-'\n"
		"  if minus_a ~= minus_b then return minus_a end\n"
		"  if minus_a then a, b = string.sub(b, 2), string.sub(a, 2) end\n"
		"  if #a ~= #b then return #a < #b end\n"
		"  return a < b\n"
		"end\n"
		"local old = redis.call('GET', KEYS[1])\n"
		"redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"local new = redis.call('GET', KEYS[1])\n"
		"if not less(new, ARGV[2]) and not less(ARGV[3], new) then\n"
		"  if not old and ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end\n"
		"  return {new, 1}\n"
		"end\n"
		"if old then\n"
		"  redis.call('SET', KEYS[1], old, 'KEEPTTL')\n"
		"else\n"
		"  redis.call('DEL', KEYS[1])\n"
		"end\n"
		"return {old or '0', 0}\n",
};

const struct script script_hit = {
	.sha1 = "f4cfec3039c41a843254ccce4fc503c7734628ea",
	.text = "local size, level = {}, {{1, 300}, {60, 1440}, {3600, 720}}\n"
		"for i = 1, 3 do size[i] = redis.call('STRLEN', KEYS[i + 1]) end\n"
		"local is_new = redis.call('EXISTS', KEYS[1]) == 0\n"
		"redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"if is_new or size[3] == 0 then\n"
		"  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
		"  size = {0, 0, 0}\n"
		"end\n"
		"local head = redis.call('BITFIELD', KEYS[4], 'GET', 'i64', '#0', 'GET', 'i64', '#1')\n"
		"local clock = tonumber(redis.call('TIME')[1])\n"
		"local last, ahead = head[1], head[2]\n"
		"local now = math.max(clock + ahead, last)\n"
		"for i = 1, 3 do\n"
		"  local key, unit, count = KEYS[i + 1], level[i][1], level[i][2]\n"
		"  local from, to = math.floor(last / unit), math.floor(now / unit)\n"
		"  local change = {key, 'OVERFLOW', 'SAT', 'INCRBY', 'i64', '#' .. 2 + to % count, ARGV[1]}\n"
		"  if now > last or size[i] == 0 then\n"
		"    if to - from >= count then\n"
		"      redis.call('DEL', key)\n"
		"    elseif size[i] > 0 and to > from then\n"
		"      local first = (from + 1) % count\n"
		"      local straight = math.min(to - from, count - first)\n"
		"      redis.call('SETRANGE', key, 8 * (2 + first), string.rep('\\0', 8 * straight))\n"
		"      redis.call('SETRANGE', key, 16, string.rep('\\0', 8 * (to - from - straight)))\n"
		"    end\n"
		"  end\n"
		"  if now ~= clock + ahead or now > last or size[i] == 0 then\n"
		"    for _, word in ipairs({'SET', 'i64', '#0', now, 'SET', 'i64', '#1', now - clock}) do\n"
		"      table.insert(change, word)\n"
		"    end\n"
		"  end\n"
		"  redis.call('BITFIELD', unpack(change))\n"
		"  if now > last or size[i] == 0 then redis.call('PEXPIRE', key, (count + 1) * unit * 1000) end\n"
		"end\n"
		"return redis.call('GET', KEYS[1])\n",
};

const struct script script_hits = {
	.sha1 = "ca9bae9f7a4901555beb759be36270a2b76ae03f",
	.text = "return {redis.call('TIME')[1], redis.call('GET', KEYS[1]) or ''}\n",
};

const struct script script_allow = {
	.sha1 = "e1aa42c8ee67d932efaef86f20857da34a3a5046",
	.text = "local old = redis.call('GET', KEYS[2])\n"
		"local is_new = redis.call('EXISTS', KEYS[1]) == 0\n"
		"local time, debt, part, is_moved = redis.call('TIME'), 0, 0, false\n"
		"local s, us, most, whole = tonumber(time[1]), tonumber(time[2]), tonumber(ARGV[2]), tonumber(ARGV[5])\n"
		"if old and not is_new then\n"
		"  local at_s, at_us, d, p, w = string.match(old, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')\n"
		"  local passed = (s - at_s) * 1e6 + us - at_us\n"
		"  is_moved = passed < 0\n"
		"  debt, part = d - math.max(passed, 0), tonumber(p)\n"
		"  if w ~= ARGV[5] and part > 0 then debt, part = debt + 1, 0 end\n"
		"  if debt < 0 then debt, part = 0, 0 end\n"
		"  if debt >= most then debt, part, is_moved = most, 0, true end\n"
		"end\n"
		"local new_debt, new_part = debt + ARGV[3], part + ARGV[4]\n"
		"if new_part >= whole then new_debt, new_part = new_debt + 1, new_part - whole end\n"
		"local is_allowed = new_debt < most or (new_debt == most and new_part == 0)\n"
		"if is_allowed then\n"
		"  redis.call('INCRBY', KEYS[1], ARGV[1])\n"
		"  debt, part = new_debt, new_part\n"
		"end\n"
		"if is_allowed or is_moved then\n"
		"  local now = s * 1000 + math.floor(us / 1000)\n"
		"  local ends = s * 1000 + math.ceil((us + debt + 1) / 1000)\n"
		"  local left = is_new and 0 or redis.call('PTTL', KEYS[1])\n"
		"  local is_short = left >= 0 and left < ends - now\n"
		"  ends = string.format('%.0f', ends)\n"
		"  if is_short then redis.call('PEXPIREAT', KEYS[1], ends) end\n"
		"  redis.call('SET', KEYS[2], string.format('%d %d %.0f %.0f %s', s, us, debt, part, ARGV[5]))\n"
		"  redis.call('PEXPIREAT', KEYS[2], ends)\n"
		"end\n"
		"return {is_allowed and 1 or 0, string.format('%.0f', debt), string.format('%.0f', part)}\n",
};

const struct script script_apply = {
	.sha1 = "79e4b2e7b45d5a18fea28aba6c55404e0b923fbe",
	.text = "local at = redis.call('GET', KEYS[1]) or ''\n"
		"local born, seq, by = string.match(at, '^(%w+) (%d+) (%w+)$')\n"
		"if born == ARGV[1] and tonumber(seq) >= tonumber(ARGV[2]) then\n"
		"  if seq ~= ARGV[2] or by ~= ARGV[3] then\n"
		"    return redis.error_reply('STREAMAHEAD this slot has had batch ' .. seq .. ' of another run')\n"
		"  end\n"
		"  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
		"  return 0\n"
		"end\n"
		"local old = {}\n"
		"for i = 2, #KEYS do\n"
		"  old[i] = redis.pcall('GET', KEYS[i])\n"
		"  local new = redis.pcall('INCRBY', KEYS[i], ARGV[i + 3])\n"
		"  if type(new) == 'table' then\n"
		"    for j = i - 1, 2, -1 do\n"
		"      if old[j] then\n"
		"        redis.call('SET', KEYS[j], old[j], 'KEEPTTL')\n"
		"      else\n"
		"        redis.call('DEL', KEYS[j])\n"
		"      end\n"
		"    end\n"
		"    return redis.error_reply(new.err)\n"
		"  end\n"
		"end\n"
		"redis.call('SET', KEYS[1], table.concat(ARGV, ' ', 1, 3), 'PX', ARGV[4])\n"
		"return 1\n",
};

const struct script script_stream_open = {
	.sha1 = "a7d9729f2e81426ab023ae30126a3079a44b152d",
	.text = "redis.call('HSETNX', KEYS[1], 'born', ARGV[1])\n"
		"redis.call('HSET', KEYS[1], 'owner', ARGV[1])\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
		"local h = redis.call('HMGET', KEYS[1], 'seq', 'cursor', 'batch', 'born', 'by')\n"
		"return {h[1] or '0', h[2] or '', h[3] or '', h[4], h[5] or '', h[3] and 1 or 0}\n",
};

const struct script script_stream_put = {
	.sha1 = "5bd0e4b0de8ea9a1a003ab1f1ba7446e16e982ca",
	.text = "local h = redis.call('HMGET', KEYS[1], 'owner', 'seq')\n"
		"if h[1] ~= ARGV[1] then\n"
		"  return redis.error_reply('SESSIONLOST another client uses the stream')\n"
		"end\n"
		"local seq, new = tonumber(h[2] or '0'), tonumber(ARGV[2])\n"
		"if seq ~= new and seq ~= new - 1 then\n"
		"  return redis.error_reply('ERR the stream stands at batch ' .. seq .. ', not before ' .. new)\n"
		"end\n"
		"redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'cursor', ARGV[3], 'batch', ARGV[4], 'by', ARGV[1])\n"
		"redis.call('PEXPIRE', KEYS[1], ARGV[5])\n"
		"return 1\n",
};

const struct script script_stream_through = {
	.sha1 = "b2d88646d5281646c723441217358c1bd36a561e",
	.text = "local h = redis.call('HMGET', KEYS[1], 'owner', 'seq')\n"
		"if h[1] == ARGV[1] and h[2] == ARGV[2] then redis.call('HDEL', KEYS[1], 'batch') end\n"
		"return 1\n",
};
