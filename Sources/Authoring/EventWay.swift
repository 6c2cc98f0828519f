internal import Diagnostics
package import Recording
package import Report
package import Wire

extension Recording {
  /// The way that an event tells of, as if it had been recorded.
  ///
  /// An event names files by the last component of their paths and functions by one name, both as they are shown on a screen: a function
  /// without a name has no start here, and no file a build id. nil where it tells of no call,
  /// or of a frame in memory that is no file's and no runtime's.
  ///
  /// `modules`: of the profile that is to list it. The one of these whose file is called so is taken for the event's, as nothing else can tell.
  package init?(_ event: Event, among modules: [PathModule] = []) {
    guard event.outcome != .noted, !event.frames.isEmpty else { return nil }
    self.init()
    var run = RecordedRun(id: event.container, profile: event.profile, profileVersion: "", began: event.time)
    run.calls = 1
    runs = [run]
    var steps: [RecordedPath.Step] = []
    for (place, line) in event.frames.enumerated() {
      guard let function = recorded(line, modules) else { return nil }
      let index = functions.firstIndex(of: function) ?? functions.count
      if index == functions.count { functions.append(function) }
      if let last = steps.last, last.function == index {
        // Made code is one frame, and recursion is told once.
        if function.module != nil, !function.names.isEmpty {
          steps[steps.count - 1].repeats = true
          continue
        }
        if function.module == nil { continue }
      }
      steps.append(RecordedPath.Step(index))
      // Behind those the list has only frames that something is said about.
      if place + 1 == Finding.maxListedFrames - Finding.reservedFrames { break }
    }
    let isCut = event.frames.count >= Finding.maxListedFrames - Finding.reservedFrames
    let objections = event.marks.map { RecordedObjection(check: $0.check, because: $0.because) }
    paths = [
      RecordedPath(
        syscall: event.syscall, steps: steps, gap: isCut ? steps.count : nil, objections: Set(objections), calls: 1, runs: [0],
        first: event.time)
    ]
  }

  private mutating func recorded(_ line: Event.Line, _ known: [PathModule]) -> RecordedFunction? {
    // `libc.so.6+0xe0d7b`; code without a file is described in words.
    guard let plus = line.place.lastIndex(of: "+"), line.place[plus...].hasPrefix("+0x"), !line.place.contains(" ") else {
      return line.place == Finding.madeCode ? RecordedFunction(module: nil) : nil
    }
    let file = String(line.place[..<plus])
    let same = known.filter { module in
      module.path.map { baseName($0) == file } ?? moduleName(file).elementsEqual(module.name.utf8)
    }
    let module =
      same.count == 1 ? Module(path: same[0].path ?? file, buildID: same[0].buildID ?? "") : Module(path: file, buildID: "")
    let place = modules.firstIndex(of: module) ?? modules.count
    if place == modules.count { modules.append(module) }
    var name = line.function
    if let plus = name.lastIndex(of: "+"), UInt64(name[name.index(after: plus)...]) != nil { name = String(name[..<plus]) }
    return RecordedFunction(
      module: place, names: name.isEmpty ? [] : [name], isStart: isCLibrary(module.path) || name == "_start")
  }
}
