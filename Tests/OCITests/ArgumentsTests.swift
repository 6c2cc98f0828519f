import Diagnostics
import OCI
import Testing

private func parse(_ line: String) -> Arguments { Arguments(line.split(separator: " ").map(String.init)) }

@Test(
  arguments: [
    // podman, containerd, CRI-O
    ("create --bundle /b --pid-file /p web", "create", "/b", "web"),
    ("--root /r --log /l --log-format json create --bundle /b --pid-file /p web", "create", "/b", "web"),
    ("--systemd-cgroup --root=/r create -b /b web", "create", "/b", "web"),
    ("--cgroup-manager cgroupfs --rootless true run --bundle=/b web", "run", "/b", "web"),
    // the rest of the grammar
    ("run -b/b web", "run", "/b", "web"),
    ("run --bundle /a --bundle /b web", "run", "/b", "web"),
    ("run --detach -d --no-pivot --no-new-keyring --preserve-fds 3 --console-socket /s -b /b web", "run", "/b", "web"),
    ("run --detach=true --bundle=/b web", "run", "/b", "web"),
    ("--debug run web", "run", nil, "web"),
    ("--unknown=x run web", "run", nil, "web"),
    ("run -- -web", "run", nil, "-web"),
    ("-- run web", "run", nil, "web"),
    ("run --bundle -b web", "run", "-b", "web"),
    // ids and values that look like something else
    ("create create", "create", nil, "create"),
    ("--root create run delete", "run", nil, "delete"),
    ("run --pid-file --bundle web", "run", nil, "web"),
    ("delete --force create", "delete", nil, "create"),
    ("delete -f web", "delete", nil, "web"),
    ("restore --image-path /i --bundle /b web", "restore", "/b", "web"),
  ] as [(String, String, String?, String)])
func `verb, bundle and id are found`(line: String, verb: String, bundle: String?, id: String) {
  let arguments = parse(line)
  #expect(arguments.problem == nil)
  #expect(arguments.verb == verb)
  #expect(arguments.bundle == bundle)
  #expect(arguments.id == id)
}

@Test(arguments: [
  "kill --all web 9", "exec --pid-file /p --process /x web", "state web", "list --quiet", "update --whatever x web", "spec",
])
func `other verbs are not read beyond their name`(line: String) {
  let arguments = parse(line)
  #expect(arguments.problem == nil)
  #expect(arguments.verb == String(line.prefix { $0 != " " }))
  #expect(arguments.id == nil)
}

@Test(arguments: [
  ("--log /l --log-format json create --bogus web", "unknown option '--bogus' of 'create'"),
  ("--bogus create web", "unknown option '--bogus' before the command"),
  ("create --bund /b web", "unknown option '--bund' of 'create'"),
  ("create -bundle /b web", "option '-bundle' means different things to runc and crun"),
  ("create -b=/b web", "option '-b=/b' means different things to runc and crun"),
  ("run -df /c web", "option '-df' means different things to runc and crun"),
  ("create --bundle", "option '--bundle' of 'create' lacks its value"),
  ("--log", "option '--log' before the command lacks its value"),
  ("create", "'create' needs a container's id"),
  ("run web other", "'run' takes one container's id; 'other' is left over"),
  ("run web --bundle /b", "'run' takes one container's id; '--bundle /b' is left over"),
])
func `what the runtimes could read differently is refused`(line: String, message: String) {
  let problem = parse(line).problem
  #expect(problem?.code == .badArguments)
  #expect(problem?.message == message)
}

@Test func `where the failure is to be written is known even if the rest is wrong`() {
  let arguments = parse("--log=/l --log-format json create --bogus")
  #expect(arguments.log == "/l")
  #expect(arguments.logFormat == "json")
}

@Test(arguments: ["--help", "--version", "-v", "run --help", "create -h", ""])
func `questions for help are answered by the runtime`(line: String) {
  #expect(parse(line).problem == nil)
}

@Test(arguments: [
  ("run web", "./config.json"), ("run -b /b web", "/b/config.json"), ("run -b /b --config /c.json web", "/c.json"),
  ("run -b /b -f c.json web", "c.json"), ("run -b /b -f config.json web", "/b/config.json"),
])
func `the configuration is where crun looks for it`(line: String, path: String) {
  #expect(parse(line).configPath == path)
}
