import ELF
import Linkage
import Samples
import Unwind

/// Where a sample's code begins, and its words of data.
let code = SampleImage.codeAddress
let data = SampleLinkage.dataAddress

/// A relocatable file of 256 bytes of `nop`, which takes no address of its own.
func sample(_ change: (inout SampleImage, inout SampleLinkage) -> Void = { _, _ in }) -> SampleImage {
  var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
  var linkage = SampleLinkage()
  image.isFixed = false
  image.hasHeader = false
  change(&image, &linkage)
  image.linkage = linkage
  return image
}

/// One file's linkage, asked with as much budget as it needs.
struct Asked {
  let linkage: Linkage

  init(_ image: SampleImage) throws { linkage = Linkage(try ObjectFile(Source(image.bytes))) }

  init(_ change: (inout SampleImage, inout SampleLinkage) -> Void) throws { try self.init(sample(change)) }

  private func ask<Answer>(_ question: (Linkage, inout Budget) throws(UnwindError) -> Answer) throws(UnwindError) -> Answer {
    var budget = Budget(1 << 24)
    return try question(linkage, &budget)
  }

  func exports(_ name: String) throws -> [Export] {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.exports(named: Array(name.utf8), &budget) }
  }

  func names(_ range: Range<UInt64>) throws -> [String] {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.names(in: AddressRange(range), &budget) }.map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  func wants(_ name: String) throws -> Bool {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.wants(Array(name.utf8), &budget) }
  }

  func slot(_ address: UInt64) throws -> Slot? {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.slot(at: ImageAddress(address), &budget) }
  }

  func slots(of name: String) throws -> [UInt64] {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.slots(of: Array(name.utf8), &budget) }.map(\.value).sorted()
  }

  func takes(_ range: Range<UInt64>) throws -> Bool {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.takes(AddressRange(range), &budget) }
  }

  func takesInData(_ range: Range<UInt64>) throws -> Bool {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.takesInData(AddressRange(range), &budget) }
  }

  func holds(_ name: String) throws -> Bool {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.holds(Array(name.utf8), &budget) }
  }

  func holdsText(_ text: String) throws -> Bool {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.holdsText(Array(text.utf8), &budget) }
  }

  /// Offsets in the code.
  func jumps(into range: Range<UInt64>) throws -> [UInt64] {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.jumps(into: AddressRange(range), &budget) }.map { $0.value - code }
  }

  func jumps(through slot: UInt64) throws -> [UInt64] {
    try ask { (linkage, budget) throws(UnwindError) in try linkage.jumps(through: ImageAddress(slot), &budget) }.map { $0.value - code }
  }
}

extension AddressRange {
  /// Offsets in the code.
  init(_ range: Range<UInt64>) { self.init(start: ImageAddress(code + range.lowerBound), count: UInt64(range.count)) }
}
