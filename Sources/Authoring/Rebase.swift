package import Wire
package import YAML

/// A profile's file, carried over to another version of its image.
package struct Rebase: Equatable, Sendable {
  package struct Change: Equatable, Sendable {
    package var old: [PathElement]
    /// nil where the chain was left out: it has to be recorded again.
    package var new: [PathElement]?
    package var reasons: [String]
  }

  package var document: YAMLDocument
  /// Chains that had to be changed or left out, in the file's order.
  package var changes: [Change] = []
  /// Chains that lead through changed files and were kept, whether their text had to change or not.
  package var carried = 0
  /// Names of modules that were changed.
  package var modules: [String] = []

  /// Only `document` is changed: what other files say of its modules is theirs.
  package init(of document: YAMLDocument, by drift: Drift) throws(YAMLDocument.EditError) {
    self.document = document
    try rebasePaths(drift)
    try rebaseModules(drift)
  }

  private mutating func rebasePaths(_ drift: Drift) throws(YAMLDocument.EditError) {
    var lost: [Int] = []
    for (index, item) in (document.node(at: ["spec", "paths"])?.items ?? []).enumerated() {
      let chain = (item.value["chain"]?.items ?? []).compactMap { $0.value.text.flatMap(PathElement.init) }
      switch drift.fate(of: chain) {
      case .same: break
      case .carried(let now):
        carried += 1
        guard now != chain else { continue }
        changes.append(Change(old: chain, new: now, reasons: []))
        for (place, element) in now.enumerated() where element != chain[place] {
          try document.set(.text(element.description), at: ["spec", "paths", .index(index), "chain", .index(place)])
        }
      case .lost(let reasons):
        changes.append(Change(old: chain, new: nil, reasons: reasons))
        lost.append(index)
      }
    }
    for index in lost.reversed() { try document.remove(at: ["spec", "paths", .index(index)]) }
  }

  private mutating func rebaseModules(_ drift: Drift) throws(YAMLDocument.EditError) {
    let named = Set(
      (document.node(at: ["spec", "paths"])?.items ?? []).flatMap { path in
        (path.value["chain"]?.items ?? []).compactMap { $0.value.text.flatMap(PathElement.init)?.module }
      })
    for module in drift.modules {
      let name = module.module.name
      guard document.node(at: ["spec", "modules", .key(name)]) != nil else { continue }
      // A module that no chain names is an error of the format.
      guard named.contains(name) else {
        try document.remove(at: ["spec", "modules", .key(name)])
        modules.append(name)
        continue
      }
      guard case .changed(let buildID) = module.state else { continue }
      modules.append(name)
      if buildID.isEmpty {
        try document.remove(at: ["spec", "modules", .key(name), "buildId"])
      } else {
        try document.set(.text(buildID), at: ["spec", "modules", .key(name), "buildId"])
      }
      guard document.node(at: ["spec", "modules", .key(name), "functions"]) != nil else { continue }
      let functions = module.rebased.functions
      if functions.isEmpty {
        try document.remove(at: ["spec", "modules", .key(name), "functions"])
      } else {
        try document.set(
          .mapping(functions.map { ("+0x\(String($0.key, radix: 16))", .text($0.value)) }),
          at: ["spec", "modules", .key(name), "functions"])
      }
    }
    for list in ["paths", "modules"] where document.node(at: ["spec", .key(list)])?.items?.isEmpty == true {
      try document.remove(at: ["spec", .key(list)])
    }
  }
}
