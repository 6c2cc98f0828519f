import Diagnostics
import Distribution
import Foundation
import Testing

private let files = [
  LayoutFile("blobs/sha256/a", Array("content\n".utf8)), LayoutFile("empty", []), LayoutFile("z", [UInt8](repeating: 9, count: 513)),
]

/// The header's block of the entry at `start`, changed, with a checksum that fits again.
private func changed(_ start: Int = 0, in archive: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
  var header = Array(archive[start..<(start + 512)])
  change(&header)
  header.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
  let digits = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
  header.replaceSubrange(148..<156, with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20])
  return archive[..<start] + header + archive[(start + 512)...]
}

private func named(_ name: String, type: Character = "0") -> [UInt8] {
  changed(in: archive(of: [LayoutFile("x", [])])) { header in
    header.replaceSubrange(0..<100, with: Array(name.utf8) + [UInt8](repeating: 0, count: 100 - name.utf8.count))
    header[156] = type.asciiValue!
  }
}

private func refusal(_ bytes: [UInt8]) -> Refusal? { #expect(throws: Refusal.self) { try Archive(parsing: bytes, file: "a.tar") } }

@Test func `what is put into an archive is found in it`() throws {
  let read = try Archive(parsing: archive(of: files), file: "a.tar")
  for file in files { #expect(read.file(file.path).map(Array.init) == file.bytes) }
  #expect(read.file("blobs") == nil && read.file("") == nil)
}

private func tar(_ words: [String]) throws {
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = ["tar"] + words
  try process.run()
  process.waitUntilExit()
  #expect(process.terminationStatus == 0, "tar \(words)")
}

@Test(arguments: ["ustar", "pax", "gnu", "v7"]) func `tar's archives are read, and tar reads ours`(format: String) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "callgate-archive-\(UUID())")
  defer { try? FileManager.default.removeItem(at: folder) }
  try FileManager.default.createDirectory(at: folder.appending(path: "out"), withIntermediateDirectories: true)
  let ours = folder.appending(path: "ours.tar")
  try Data(archive(of: files)).write(to: ours)
  try tar(["-xf", ours.path, "-C", folder.appending(path: "out").path])
  for file in files { #expect(try Array(Data(contentsOf: folder.appending(path: "out/\(file.path)"))) == file.bytes) }
  let theirs = folder.appending(path: "theirs.tar")
  try tar(["--format=\(format)", "-cf", theirs.path, "-C", folder.appending(path: "out").path, "."])
  let read = try Archive(parsing: Array(try Data(contentsOf: theirs)), file: "theirs.tar")
  for file in files { #expect(read.file(file.path).map(Array.init) == file.bytes) }
}

@Test(arguments: ["../x", "/etc/passwd", "a/../../x", "./../x", ".."]) func `an entry that leads outside is refused`(name: String) {
  #expect(refusal(named(name))?.message.contains("leads outside") == true)
  #expect(refusal(named(name, type: "5"))?.message.contains("leads outside") == true)
}

@Test(arguments: ["1", "2", "3", "4", "6", "7", "L", "K", "S"] as [Character])
func `links, devices and what is not known are refused`(type: Character) {
  #expect(refusal(named("x", type: type))?.message.contains("neither a file nor a directory") == true)
}

@Test func `the same name twice is refused`() {
  let one = archive(of: [LayoutFile("x", [])])
  #expect(refusal(one[..<512] + one)?.message.contains("is there twice") == true)
  #expect(refusal(named("./x")[..<512] + one)?.message.contains("is there twice") == true)
}

@Test(arguments: ["17 path=../../x\n", "12 size=999\n", "15 linkpath=/x\n"]) func `an extended header changes neither name nor size`(
  record: String
) {
  let extended = archive(of: [LayoutFile("x", Array(record.utf8))])
  let bytes = changed(in: extended) { $0[156] = UInt8(ascii: "x") }
  #expect(refusal(bytes)?.message.contains("extended header") == true)
}

@Test func `an archive that ends early, lies about a size or is none is refused`() {
  let whole = archive(of: files)
  for count in stride(from: 0, to: whole.count - 1024, by: 256) { #expect(refusal(Array(whole[..<count])) != nil, "\(count)") }
  #expect(refusal([]) != nil)
  #expect(refusal([0x1f, 0x8b] + whole)?.message.contains("gunzip") == true)
  #expect(refusal([UInt8](repeating: 0x41, count: 4096))?.message.contains("no sound tar header") == true)
  for size in ["77777777777", "00000100000", "-0000000001", "           "] {
    let bytes = changed(in: archive(of: [LayoutFile("x", [1])])) { $0.replaceSubrange(124..<135, with: Array(size.utf8)) }
    #expect(refusal(bytes)?.message.contains("no sound tar header") == true, "\(size)")
  }
  // GNU tar's way to say more than 8 GiB.
  #expect(refusal(changed(in: archive(of: [LayoutFile("x", [1])])) { $0[124] = 0x80 }) != nil)
}

@Test func `a damaged header is refused`() {
  let whole = archive(of: [LayoutFile("x", [1, 2, 3])])
  for place in 0..<512 {
    var bytes = whole
    bytes[place] ^= 1
    // The last byte of the checksum's field is a space that nobody reads.
    if place != 154, place != 155 { #expect(refusal(bytes) != nil, "\(place)") }
  }
}

@Test func `entries without end are refused`() {
  let header = Array(named("x", type: "5")[..<512])
  let bytes = Array(repeatElement(header, count: 1025).joined()) + [UInt8](repeating: 0, count: 1024)
  #expect(refusal(bytes)?.message.contains("more than 1024 entries") == true)
}
