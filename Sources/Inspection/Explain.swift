import ELF
import Wire

extension Walk {
  /// The finding, with names where somebody is going to read it.
  consuming func finish(explain: Bool) -> Finding {
    finding.modules = modules.list
    finding.violations.sort { ($0.frame, $0.check.rawValue) < ($1.frame, $1.check.rawValue) }
    guard explain || !finding.isClean else { return finding }
    for (index, names) in names.enumerated() {
      guard let names else { continue }
      if let (name, start) = names.image.function(at: names.lookup) {
        finding.frames[index].function = name
        finding.frames[index].functionOffset = names.address.value &- start.value
      } else if let start = names.functionStart {
        finding.frames[index].functionOffset = names.address.value &- start.value
      }
    }
    return finding
  }
}
