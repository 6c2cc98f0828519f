package import Diagnostics

// An OCI archive is the layout in a tar file (image-layout.md). Nothing is ever unpacked from one: its files are looked up by name.

private let block = 512

/// `files` as a USTAR archive (POSIX.1-2017, pax, "ustar Interchange Format"), with entries for their directories before them. The same
/// files give the same bytes: all belong to root, and their time is 0.
package func archive(of files: [LayoutFile]) -> [UInt8] {
  var out: [UInt8] = []
  var known: Set<String> = []
  for file in files {
    var directory = ""
    for part in file.path.split(separator: "/").dropLast() {
      directory += "\(part)/"
      if known.insert(directory).inserted { out += header(directory, size: 0, type: "5", mode: "0000755") }
    }
    out += header(file.path, size: file.bytes.count, type: "0", mode: "0000644")
    out += file.bytes
    out += repeatElement(0, count: (block - file.bytes.count % block) % block)
  }
  return out + repeatElement(0, count: 2 * block)
}

/// `path` has at most 100 bytes: a blob's has 77.
private func header(_ path: String, size: Int, type: Character, mode: String) -> [UInt8] {
  precondition(path.utf8.count <= 100, "a layout has no such path")
  func octal(_ value: Int, _ width: Int) -> String {
    let digits = String(value, radix: 8)
    return String(repeating: "0", count: width - digits.utf8.count) + digits
  }
  func field(_ text: String, _ width: Int) -> [UInt8] { Array(text.utf8) + repeatElement(0, count: width - text.utf8.count) }
  var header = field(path, 100) + field(mode, 8) + field("0000000", 8) + field("0000000", 8)
  header += field(octal(size, 11), 12) + field(octal(0, 11), 12)
  // The checksum is taken with spaces in its place.
  let place = header.count
  header += field("        ", 8) + field(String(type), 1) + field("", 100) + field("ustar", 6) + Array("00".utf8)
  header += field("root", 32) + field("root", 32) + field("0000000", 8) + field("0000000", 8) + field("", 155)
  header += repeatElement(0, count: block - header.count)
  let sum = header.reduce(0) { $0 + Int($1) }
  header.replaceSubrange(place..<(place + 8), with: Array(octal(sum, 6).utf8) + [0, UInt8(ascii: " ")])
  return header
}

/// The files of a tar archive, by path without a leading `./`. Links, devices, paths that lead outside and whatever else no layout has are
/// refused, wherever they stand.
package struct Archive: Sendable {
  /// Sixty-four profiles of the largest size.
  package static let maxBytes = 20 << 20
  private static let maxEntries = 1024

  private let bytes: [UInt8]
  private var places: [String: Range<Int>] = [:]

  /// `file` is only named in messages.
  package init(parsing bytes: [UInt8], file: String) throws(Refusal) {
    func refuse(_ reason: String) -> Refusal { Refusal(.badArtifact, "\(file): \(reason)") }
    self.bytes = bytes
    if bytes.starts(with: [0x1f, 0x8b]) { throw refuse("it is compressed: gunzip it first") }
    var position = 0
    var entries = 0
    while true {
      guard position + block <= bytes.count else { throw refuse("it ends before a tar archive does") }
      let header = Header(bytes[position..<(position + block)])
      position += block
      // The first block of zeros is the end.
      if header.isEmpty { break }
      entries += 1
      guard entries <= Archive.maxEntries else { throw refuse("it has more than \(Archive.maxEntries) entries") }
      guard header.isSound, let size = header.size, size <= bytes.count - position else {
        throw refuse("there is no sound tar header at byte \(position - block)")
      }
      let content = position..<(position + size)
      position = min(bytes.count, content.upperBound + (block - size % block) % block)
      switch header.type {
      case UInt8(ascii: "x"), UInt8(ascii: "g"):
        // Times, owners and attributes do not matter here. What would change a name or a size does.
        guard !Archive.renames(bytes[content]) else { throw refuse("it has an extended header that changes a path or a size") }
      case UInt8(ascii: "5"):
        guard Archive.plainPath(header.path) != nil else { throw refuse("its entry '\(header.path)' leads outside") }
      case UInt8(ascii: "0"), 0:
        guard let path = Archive.plainPath(header.path) else { throw refuse("its entry '\(header.path)' leads outside") }
        guard places.updateValue(content, forKey: path) == nil else { throw refuse("its entry '\(path)' is there twice") }
      default: throw refuse("its entry '\(header.path)' is neither a file nor a directory")
      }
    }
  }

  /// Nil where there is no such file.
  package func file(_ path: String) -> ArraySlice<UInt8>? { places[path].map { bytes[$0] } }

  /// Nil for what is absolute or has `..` in it.
  private static func plainPath(_ path: String) -> String? {
    guard !path.utf8.starts(with: "/".utf8) else { return nil }
    let parts = path.split(separator: "/").filter { $0 != "." }
    guard !parts.contains("..") else { return nil }
    return parts.joined(separator: "/")
  }

  /// Whether records of the form `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header") have such a key; looked for anywhere, in
  /// values too, which no honest archive of a layout has.
  private static func renames(_ records: ArraySlice<UInt8>) -> Bool {
    let text = Array(records)
    return [" path=", " size=", " linkpath=", " GNU.sparse"].contains { word in
      let word = Array(word.utf8)
      return text.count >= word.count && (0...(text.count - word.count)).contains { text[$0...].starts(with: word) }
    }
  }
}

private struct Header {
  let bytes: [UInt8]

  init(_ slice: ArraySlice<UInt8>) { bytes = Array(slice) }

  var isEmpty: Bool { bytes.allSatisfy { $0 == 0 } }
  var type: UInt8 { bytes[156] }

  /// Prefix and name.
  var path: String {
    let prefix = isUSTAR ? text(345..<500) : ""
    return prefix.isEmpty ? text(0..<100) : "\(prefix)/\(text(0..<100))"
  }

  var size: Int? { octal(124..<136) }

  /// The checksum, as if it were spaces itself, is what it says.
  var isSound: Bool {
    let sum = bytes.indices.reduce(0) { $0 + ((148..<156).contains($1) ? 0x20 : Int(bytes[$1])) }
    return octal(148..<156) == sum
  }

  /// POSIX's magic ends in NUL; GNU tar's, without a prefix field, in a space.
  private var isUSTAR: Bool { bytes[257..<263].elementsEqual(Array("ustar".utf8) + [0]) }

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range].prefix { $0 != 0 }, as: UTF8.self) }

  /// At most 11 digits: no overflow. Nil for anything else, such as GNU tar's binary sizes.
  private func octal(_ range: Range<Int>) -> Int? {
    let digits = bytes[range].drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
    return digits.isEmpty ? nil : Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 < 0 ? nil : $0 }
  }
}
