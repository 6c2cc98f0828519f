import ELF
import Unwind
import Wire

/// `text`: the process runs what the file holds.
///
/// Code is mapped privately: whoever writes to it, through /proc/self/mem, by ptrace, or before the mapping became executable, gets a copy of
/// the page, and the kernel says of that page that it is no file's any more. Only then are its bytes compared. What is compared is whole pages:
/// those that hold the functions of the chain, from their starts to where they were left, and where a direct call leads that has ended up in
/// another function: what it called has gone on by a jump.
///
/// Text relocations (DT_TEXTREL) change pages, too: such a library is objected to.
extension Walk {
  /// What `text` says of the files and the pages that the chain's functions lie in.
  mutating func judgeFiles(in space: inout some AddressSpace) {
    judgeAge()
    do throws(Unreadable) { try judgePages(in: &space) } catch {
      finding.unknown = finding.unknown ?? Unknown(frame: UInt16(clamping: max(1, finding.frames.count) - 1), reason: .unreadableImage)
    }
  }

  /// A program's file is older than its container: whatever came later, somebody in the container may have written.
  private mutating func judgeAge() {
    guard let started, !permissions.contains(.writtenFiles) else { return }
    var seen: Set<UInt16> = []
    for visited in trail where seen.insert(visited.code.module).inserted {
      if let changed = visited.code.image.changed, changed > started { object(.text, .writtenFile, frame: list(visited)) }
    }
  }

  private static let pageBytes: UInt64 = 4096
  /// Of one function, the last before the address: large ones have some hundred kilobytes.
  private static let maxPagesOfFunction: UInt64 = 16
  /// Pages that are not asked about, between two that are: one question costs as much as some hundred answers.
  private static let maxGap: UInt64 = 64
  /// int3, which debuggers and uprobes write over the first byte of an instruction. Who runs into it gets a signal.
  private static let breakpoint: UInt8 = 0xcc

  private mutating func judgePages(in space: inout some AddressSpace) throws(Unreadable) {
    let places = try placesOfPages()
    let pages = places.keys.sorted()
    var first = 0
    while first < pages.count {
      guard let mapping = try codeMapping(at: pages[first], in: &space) else {
        first += 1
        continue
      }
      var last = first
      while last + 1 < pages.count, mapping.contains(pages[last + 1]), pages[last + 1] - pages[last] <= Walk.maxGap * Walk.pageBytes,
        pages[last + 1] - pages[first] < Walk.maxSpan
      { last += 1 }
      for page in try ownPages(among: pages[first...last], in: &space) {
        guard let place = places[page], try isChanged(page, of: trail[place].code.image, in: mapping, &space) else { continue }
        object(.text, .changedPage, frame: list(trail[place]))
      }
      first = last + 1
    }
  }

  private static let maxSpan: UInt64 = 2048 * pageBytes

  /// Each page that holds a part of a function of the chain, and the innermost such frame's place in the trail.
  private func placesOfPages() throws(Unreadable) -> [UInt64: Int] {
    var places: [UInt64: Int] = [:]
    var seen: Set<UInt64> = []
    for (place, visited) in trail.enumerated() where seen.insert(visited.place.instruction).inserted {
      // The last byte that has run: of the call, or of the interrupted instruction the first.
      let end = visited.place.arrival == .interrupted ? visited.place.instruction : visited.place.instruction &- 1
      let start = visited.startAddress ?? end
      var page = end & ~(Walk.pageBytes - 1)
      for _ in 0..<Walk.maxPagesOfFunction {
        if places[page] == nil { places[page] = place }
        guard start < page else { break }
        page -= Walk.pageBytes
      }
      if visited.place.arrival == .returned, let called = try addressCalled(by: visited) {
        let page = called & ~(Walk.pageBytes - 1)
        if places[page] == nil { places[page] = place }
      }
    }
    return places
  }

  private func addressCalled(by visited: Visited) throws(Unreadable) -> UInt64? {
    do throws(UnwindError) {
      let image = visited.code.image
      // What is no such call can look like one, and lead anywhere.
      guard let target = try image.directCall(before: visited.code.address), image.file.isExecutable(target) else { return nil }
      return target.value &+ visited.bias
    } catch { throw Unreadable() }
  }

  /// The private mapping of a file that holds a page; nil where it is none: the vDSO, and what files share has no copies.
  private func codeMapping(at page: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> Mapping? {
    guard let mapping = try space.mapping(at: page), mapping.backing == .file, !mapping.isShared else { return nil }
    return mapping
  }

  private func ownPages(among pages: ArraySlice<UInt64>, in space: inout some AddressSpace) throws(Unreadable) -> [UInt64] {
    guard let first = pages.first, let last = pages.last else { return [] }
    // Without an answer every page may be one.
    guard let own = try space.ownPages(from: first, count: Int((last - first) / Walk.pageBytes) + 1) else { return Array(pages) }
    return own.map { first + UInt64($0) * Walk.pageBytes }
  }

  private mutating func isChanged(
    _ page: UInt64, of image: Image, in mapping: Mapping, _ space: inout some AddressSpace
  ) throws(Unreadable) -> Bool {
    let offset = mapping.fileOffset &+ (page &- mapping.start)
    guard offset < image.file.sizeBytes else { throw Unreadable() }
    let count = Int(min(Walk.pageBytes, image.file.sizeBytes - offset))
    let process = try space.read(at: page, upTo: Int(Walk.pageBytes))
    let file: [UInt8]
    do throws(ELFError) { file = try image.file.bytes(at: offset, count: count) } catch { throw Unreadable() }
    guard process.count >= count else { throw Unreadable() }
    // The rest of the file's last page is zero.
    return process.indices.contains { process[$0] != ($0 < count ? file[$0] : 0) && process[$0] != Walk.breakpoint }
  }

  /// The frame's place in the finding's list, where it gets one if it has none.
  private mutating func list(_ visited: Visited) -> UInt16 {
    if let listed = visited.listed { return listed }
    current = Current()
    current.frame.module = visited.code.module
    current.frame.offset = visited.code.address.value
    current.names = Names(
      image: visited.code.image, address: visited.code.address, lookup: visited.place.arrival.lookup(visited.code.address),
      functionStart: visited.functionStart)
    return listCurrent()
  }
}
