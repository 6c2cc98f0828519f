import Authoring
import Diagnostics
import Profile
import Recording
import Testing
import Wire

/// A recording made by hand. A way is "libc:execve nginx:spawn nginx:main", innermost first; `jit` is made code, `+` behind a function says that it
/// calls itself, `…` that frames are missing, and a function `+0x10` has no name. What is called start is one of those before main.
struct Sample {
  var recording = Recording()

  static let files = [
    "libc": Module(path: "/usr/lib/x86_64-linux-gnu/libc.so.6", buildID: "c1c1c1c1c1"),
    "nginx": Module(path: "/usr/sbin/nginx", buildID: "a0a0a0a0a0"),
    "libfoo": Module(path: "/usr/lib/libfoo.so.1", buildID: "f0f0f0f0f0"), "libbar": Module(path: "/usr/lib/libbar.so", buildID: ""),
    "other": Module(path: "/opt/other/libfoo.so.1", buildID: "f1f1f1f1f1"),
  ]

  init(profile: String = "default") {
    recording.runs = [RecordedRun(id: "one", profile: profile, profileVersion: "1.0.0", began: 1000)]
    recording.runs[0].ended = 2000
  }

  init(_ ways: String..., to syscall: String = "execve") {
    self.init()
    for way in ways { add(way, to: syscall) }
  }

  mutating func add(
    _ way: String, to syscall: String = "execve", calls: UInt64 = 1, objections: Set<RecordedObjection> = []
  ) {
    var steps: [RecordedPath.Step] = []
    var gap: Int?
    for word in way.split(separator: " ") {
      if word == "…" {
        gap = steps.count
        continue
      }
      let repeats = word.hasSuffix("+")
      steps.append(RecordedPath.Step(function(String(repeats ? word.dropLast() : word)), repeats: repeats))
    }
    let path = RecordedPath(syscall: syscall, steps: steps, gap: gap, objections: objections, calls: calls, runs: [0], first: 1000)
    // A recording has each way once.
    if let known = recording.paths.firstIndex(where: { $0.identity == path.identity }) {
      recording.paths[known].calls += calls
    } else {
      recording.paths.append(path)
    }
    recording.runs[0].calls += calls
  }

  private mutating func function(_ word: String) -> Int {
    var function = RecordedFunction(module: nil)
    if word != "jit" {
      let parts = word.split(separator: ":", maxSplits: 1).map(String.init)
      let file = Sample.files[parts[0]] ?? Module(path: "/usr/lib/\(parts[0])", buildID: "")
      let module = recording.modules.firstIndex(of: file) ?? recording.modules.count
      if module == recording.modules.count { recording.modules.append(file) }
      function.module = module
      function.isStart = parts[0] == "libc" || parts[1] == "_start"
      if parts[1].hasPrefix("+0x") {
        function.start = UInt64(parts[1].dropFirst(3), radix: 16)
        function.fingerprint = 0xab
      } else if parts[1] != "?" {
        function.names = parts[1].split(separator: "/").map(String.init)
        function.start = UInt64(truncatingIfNeeded: parts[1].utf8.reduce(5381) { ($0 &* 33) ^ Int($1) } & 0xffff)
      }
    }
    if let known = recording.functions.firstIndex(of: function) { return known }
    recording.functions.append(function)
    return recording.functions.count - 1
  }

  /// Of its only way.
  func chain(_ level: Level = .exact, pinning: Bool = true) -> [String] {
    let naming = ModuleNaming(recording, in: nil, pinning: pinning)
    return Generaliser(recording, naming: naming).chain(of: recording.paths[0], at: level)?.map(\.description) ?? []
  }
}

let start = "libc:call_main libc:start_main nginx:_start"

func effective(_ spec: String, name: String = "web") throws(Refusal) -> ResolvedProfile {
  try ResolvedProfile(
    parsing: Array(
      "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(name), version: 1.0.0}\nspec:\n\(spec)\n".utf8),
    file: "\(name).yaml"
  ) { _ in nil }
}

let trap = "  trap: [\"@exec\", connect]\n"

/// Numbers that are the same in every run of the tests.
struct Dice: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}

extension Sample {
  /// Ways with recursion, made code, gaps, several libraries, static and with nameless functions.
  static func random(_ seed: UInt64, ways: Int = 6) -> Sample {
    var dice = Dice(state: seed)
    var sample = Sample()
    let libraries = ["libfoo", "libbar", "other"]
    for _ in 0..<ways {
      var words = [["libc:execve", "nginx:execve", "libc:execve libc:system"].randomElement(using: &dice) ?? ""]
      for _ in 0..<Int.random(in: 0...8, using: &dice) {
        switch Int.random(in: 0..<12, using: &dice) {
        case 0..<5: words.append("nginx:f\(Int.random(in: 0..<4, using: &dice))")
        case 5..<8: words.append("\(libraries.randomElement(using: &dice) ?? ""):g\(Int.random(in: 0..<3, using: &dice))")
        case 8: words.append("jit")
        case 9: words.append("nginx:+0x\(Int.random(in: 1..<3, using: &dice))0")
        case 10: words.append("libc:qsort")
        default: words.append("nginx:?")
        }
        // Two frames of one function are one step, and so are two of made code.
        if words.count > 1, words[words.count - 1].dropLast(0) == words[words.count - 2].filter({ $0 != "+" }) {
          let word = words.removeLast()
          if word != "jit", !word.hasSuffix("?") { words[words.count - 1] = word + "+" }
        }
      }
      if words.count > 3, Int.random(in: 0..<5, using: &dice) == 0 { words.insert("…", at: words.count - 1) }
      if Int.random(in: 0..<4, using: &dice) != 0 { words.append("nginx:main") }
      if Int.random(in: 0..<3, using: &dice) != 0 { words.append(start) }
      sample.add(words.joined(separator: " "), calls: UInt64.random(in: 1...50, using: &dice))
    }
    return sample
  }
}
