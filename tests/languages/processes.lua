local pipe = io.popen("echo a; exit 3") -- Lua: programs, files and memory.
print(pipe:read("a"))
print(pipe:close())
print(os.execute("exit 4"))
print(os.execute("kill -9 $$"))
pipe = io.popen("tr a-z A-Z", "w")
pipe:write("to upper case\n")
print(pipe:close())
local name = os.tmpname()
local file = io.open(name, "w")
file:write("x\n", 1, "\n")
file:close()
for line in io.lines(name) do print(line) end
print(os.remove(name), io.open(name) == nil)
print(os.rename("/no/file", "/x"))
print(os.getenv("HOME"), os.date("!%F", 86400), string.format("%5.2f %q", math.pi, "a\nb"))
local next_one = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(next_one(), next_one(), next_one(), select(2, pcall(error, "caught")))
local many = {}
for i = 1, 200000 do many[i] = tostring(i) end
print(#table.concat(many))
os.exit(5)
