-- Counts the pods that the responses name, which is what lbtest does with them.
local pods = {}

function response(status, headers, body)
  local pod = body:match("Pod Name: ([%w.-]+)")
  if pod then
    pods[pod] = (pods[pod] or 0) + 1
  end
end
