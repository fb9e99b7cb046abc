-- Asks Runegate about a request, before HAProxy passes it on: http-request lua.runegate ADDRESS
-- ADDRESS is host:port of Runegate, where it speaks plain http. HAProxy 2.6 or later, and no other script or package.

-- About the connection or the body, of which a check has its own. The rest goes to Runegate as it came, so that it can refuse
-- whoever says themselves who they are, in any spelling.
local NOT_ASKED = {}
for _, name in ipairs({
  "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
  "http2-settings", "expect", "content-length",
}) do
  NOT_ASKED[name] = true
end

-- What in an answer is about the answer. Everything else in one that lets pass is for the application.
local ABOUT_ANSWER = {}
for _, name in ipairs({
  "connection", "keep-alive", "transfer-encoding", "content-length", "content-type", "cache-control", "date", "vary",
}) do
  ABOUT_ANSWER[name] = true
end

-- HAProxy counts the values of a header from 0, and has them by other numbers for answers in some versions.
local function values(list)
  local found = {}
  for index, value in pairs(list) do
    table.insert(found, { index = index, value = value })
  end
  table.sort(found, function(a, b) return a.index < b.index end)
  local sorted = {}
  for _, one in ipairs(found) do
    table.insert(sorted, one.value)
  end
  return sorted
end

local function question(txn)
  local asked = {}
  for name, list in pairs(txn.http:req_get_headers()) do
    if not NOT_ASKED[name:lower()] then
      asked[name] = values(list)
    end
  end
  -- A WebSocket by HTTP/2 has no key to be known by, and whose page opens it is to be looked at.
  if txn.sf:req_hdr("upgrade") ~= "" then
    asked["x-forwarded-proto"] = { "wss" }
  end
  return asked
end

local function refuse(txn, answer)
  local reply = txn:reply()
  -- Nothing came: there is no Runegate, or it takes too long.
  local status = answer and answer.status or 0
  if status < 300 then
    reply:set_status(502)
    txn:done(reply)
    return
  end
  reply:set_status(status)
  for name, list in pairs(answer.headers or {}) do
    local lower = name:lower()
    if not ABOUT_ANSWER[lower] or lower == "content-type" or lower == "cache-control" or lower == "vary" then
      for _, value in ipairs(values(list)) do
        reply:add_header(name, value)
      end
    end
  end
  if txn.sf:method() ~= "HEAD" then
    reply:set_body(answer.body or "")
  end
  txn:done(reply)
end

core.register_action("runegate", { "http-req" }, function(txn, address)
  local answer = core.httpclient():get({
    url = "http://" .. address .. "/_runegate/check/haproxy",
    headers = question(txn),
    timeout = 10000,
  })
  if answer == nil or answer.status ~= 200 then
    return refuse(txn, answer)
  end
  for name, list in pairs(answer.headers) do
    if not ABOUT_ANSWER[name:lower()] then
      txn.http:req_del_header(name)
      local value = table.concat(values(list), ", ")
      if value ~= "" then
        txn.http:req_set_header(name, value)
      end
    end
  end
end, 1)
