import ELF
import Wire

extension Walk {
  /// `path`: the chain, which has reached its end, is one of those that the profile lists for this system call, and none that it denies.
  mutating func judgePath(_ paths: Paths) {
    guard !paths.isEmpty, finding.end != nil else { return }
    let names = paths.names(of: modules.list)
    var frames: [PathFrame] = []
    /// Which of the trail each frame of the chain stands for.
    var places: [Int] = []
    for (place, visited) in trail.enumerated() {
      // However many frames of made code there are, they are one: only their runtime knows what they are.
      if visited.followsMadeCode {
        frames.append(.madeCode)
        places.append(place)
      }
      frames.append(pathFrame(visited, names[Int(visited.code.module)]))
      places.append(place)
    }
    switch paths.judge(frames) {
    case .allowed: break
    case .denied(let place):
      object(
        .path, .deniedPath(UInt8(clamping: place)), frame: 0, detail: paths.denied[place].map(\.description).joined(separator: ", "))
    case .unlisted(let place):
      object(
        .path, .unlistedPath, frame: trail[places[place]].listed,
        detail: shown(frames[place], of: modules.list[Int(trail[places[place]].code.module)]))
    }
  }

  private func pathFrame(_ visited: Visited, _ names: Set<String>) -> PathFrame {
    var frame = PathFrame(modules: names)
    let image = visited.code.image
    let lookup = visited.place.arrival.lookup(visited.code.address)
    let symbol = image.symbol(at: lookup)
    frame.start = (symbol?.start ?? visited.functionStart)?.value
    frame.names = symbol?.names ?? []
    frame.isStart = isStart(visited, names: frame.names)
    return frame
  }

  /// It is one of those that a thread or a process begins with: the C library's, or the one at the file's entry.
  func isStart(_ visited: Visited, names: [String]) -> Bool {
    isCLibrary(modules.list[Int(visited.code.module)].path) || visited.point.isEntry
      || !visited.code.image.file.hasInterpreter && !Walk.staticStarts.isDisjoint(with: names)
  }

  /// A static program holds glibc's or musl's functions that main and threads are called by.
  private static let staticStarts: Set = [
    "__libc_start_main", "__libc_start_main_impl", "__libc_start_call_main", "libc_start_main_stage2", "_start_c", "start_thread", "start",
    "clone", "__clone", "clone3", "__clone3",
  ]

  private func shown(_ frame: PathFrame, of module: Module) -> String {
    guard frame.modules != [Paths.madeCode] else { return "\(Paths.madeCode):*" }
    let name = frame.modules.min() ?? String(decoding: moduleName(module.path), as: UTF8.self)
    if let function = frame.names.first { return PathElement.function(function, of: name).description }
    return frame.start.map { PathElement.start($0, of: name).description } ?? name
  }
}

extension Image {
  /// The names of the function that covers `lookup`, the one that people know it by first; nil where the file names none.
  func symbol(at lookup: ImageAddress) -> (names: [String], start: ImageAddress)? {
    guard let (best, start) = function(at: lookup) else { return nil }
    var names = [best]
    do throws(ELFError) {
      if let function = try file.functions().covering(lookup) {
        for alias in try file.functions().aliases(of: function) {
          let name = try file.name(of: alias)
          if name != best { names.append(name) }
        }
      }
    } catch {}  // One that cannot be read matches nothing.
    return (names, start)
  }
}
