package import Profile
package import Recording
package import Wire

/// What the chains of a profile call the files of a recording, and what its `modules` have to say so that they mean these.
package struct ModuleNaming: Equatable, Sendable {
  /// By the recording's modules.
  package private(set) var names: [String] = []
  /// Those that the profile has to add, should a chain name them.
  package private(set) var added: [PathModule] = []
  /// Files by whose names alone the profile's chains know them already: they stay so.
  package private(set) var unpinned: Set<String> = []

  /// `pinning`: by build id, where a file has one; else its name decides, and where that does not do its path. A file with functions that have no
  /// names is pinned in any case, as another build's have other starts.
  package init(_ recording: Recording, in profile: Profile?, pinning: Bool) {
    let known = Paths(modules: profile?.modules ?? [])
    let entries = Set(known.modules.map(\.name))
    let used = Set((profile?.paths ?? []).flatMap(\.chain).compactMap(\.module)).subtracting(entries)
    var taken = entries.union(used).union([Paths.madeCode])
    let nameless = Set(recording.functions.filter { $0.names.isEmpty && $0.start != nil }.compactMap(\.module))
    let shared = ModuleNaming.sharedNames(recording.modules)
    /// What the files that were named so far are known by.
    var named: [Identity: String] = [:]
    names = [String](repeating: "", count: recording.modules.count)
    for place in recording.modules.indices.sorted(by: { ModuleNaming.order(recording.modules[$0], recording.modules[$1]) }) {
      let module = recording.modules[place]
      let usual = String(decoding: moduleName(module.path), as: UTF8.self)
      if let entry = known.modules.first(where: { known.isModule($0.name, path: module.path, buildID: module.buildID) }) {
        names[place] = entry.name
        continue
      }
      if used.contains(usual) {
        names[place] = usual
        unpinned.insert(usual)
        continue
      }
      let isPinned = (pinning || nameless.contains(place)) && PathModule.isBuildID(module.buildID)
      let identity = isPinned ? Identity.buildID(module.buildID) : .path(module.path)
      if let name = named[identity] {
        names[place] = name
        continue
      }
      let name = ModuleNaming.free(usual, among: taken)
      taken.insert(name)
      named[identity] = name
      names[place] = name
      let path = module.path.hasPrefix("/") && module.path.utf8.count <= Paths.maxTextBytes ? module.path : nil
      if isPinned {
        added.append(PathModule(name: name, path: path, buildID: module.buildID))
      } else if let path, name != usual || shared.contains(usual) {
        added.append(PathModule(name: name, path: path))
      }
    }
  }

  private enum Identity: Hashable { case buildID(String), path(String) }

  private static func order(_ a: Module, _ b: Module) -> Bool { (a.path, a.buildID) < (b.path, b.buildID) }

  /// Names that more than one of the files have.
  private static func sharedNames(_ modules: [Module]) -> Set<String> {
    var paths: [String: Set<String>] = [:]
    for module in modules { paths[String(decoding: moduleName(module.path), as: UTF8.self), default: []].insert(module.path) }
    return Set(paths.filter { $0.value.count > 1 }.keys)
  }

  private static func free(_ usual: String, among taken: Set<String>) -> String {
    // A module's name ends at the first ':' of an element.
    let plain = usual.isEmpty ? "file" : String(usual.map { $0 == ":" || $0 == "/" ? "_" : $0 })
    guard taken.contains(plain) else { return plain }
    return (2...).lazy.map { "\(plain)-\($0)" }.first { !taken.contains($0) } ?? plain
  }
}
