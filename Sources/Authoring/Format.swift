internal import Profile
package import YAML

/// A profile's text in canonical form: its fields in the format's order, everything else as `YAMLDocument.text` writes it. Lists keep
/// theirs. Fields that the format does not know stay, behind those that it does.
package func formatted(_ profile: [UInt8]) throws(YAMLError) -> String {
  var document = try YAMLDocument(parsing: profile)
  document.root = FieldOrder.profile.applied(to: document.root)
  return document.text
}

/// The fields of a mapping in the order in which they are written, and what is below them.
package indirect enum FieldOrder: Sendable {
  case asWritten
  case fields([(name: String, value: FieldOrder)])
  /// A list's elements, or a mapping's values under names that the author chose.
  case each(FieldOrder)

  private static let action = fields([("action", .asWritten), ("errno", .asWritten)])

  package static let profile = fields([
    ("apiVersion", asWritten), ("kind", asWritten),
    ("metadata", fields([("name", asWritten), ("version", asWritten), ("description", asWritten)])),
    ("spec", spec),
  ])

  private static let spec = fields([
    ("extends", asWritten),
    (
      "trap",
      each(
        fields([
          ("group", asWritten), ("syscall", asWritten), ("argument", asWritten), ("anySet", asWritten), ("allSet", asWritten),
          ("onViolation", action),
        ]))
    ),
    ("untrap", asWritten), ("never", asWritten),
    ("checks", fields(Profile.checkNames.map { ($0, fields([("setting", asWritten), ("onViolation", action)])) })),
    ("permit", asWritten), ("forbid", asWritten), ("jit", asWritten),
    ("unknown", fields([("noUnwindInfo", asWritten), ("depth", asWritten), ("onLimit", asWritten)])),
    ("modules", each(fields([("path", asWritten), ("buildId", asWritten), ("functions", asWritten)]))),
    (
      "paths",
      each(
        fields([
          ("syscalls", asWritten), ("chain", asWritten), ("deny", asWritten), ("onViolation", action), ("reason", asWritten),
        ]))
    ),
    ("onViolation", action), ("complainUntil", asWritten),
  ])

  package func applied(to node: YAMLDocument.Node) -> YAMLDocument.Node {
    guard var items = node.items else { return node }
    switch self {
    case .asWritten: return node
    case .each(let order):
      for index in items.indices { items[index].value = order.applied(to: items[index].value) }
      return node.with(items)
    case .fields(let order):
      guard case .mapping = node.content else { return node }
      func place(_ item: YAMLDocument.Item) -> Int { order.firstIndex { $0.name == item.key?.text } ?? order.count }
      let sorted = items.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }.map(\.element)
      return node.with(
        sorted.map { item in
          var item = item
          let place = place(item)
          if place < order.count { item.value = order[place].value.applied(to: item.value) }
          return item
        })
    }
  }
}
