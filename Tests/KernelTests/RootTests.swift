import Foundation
import Kernel
import Testing

@Test func `a file in a root is found by what the root's links say, and none outside`() throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("root-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder + "/usr/lib", withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try "inside".write(toFile: folder + "/usr/lib/file", atomically: true, encoding: .utf8)
  try FileManager.default.createSymbolicLink(atPath: folder + "/lib", withDestinationPath: "/usr/lib")
  try FileManager.default.createSymbolicLink(atPath: folder + "/out", withDestinationPath: "../../../../etc/passwd")
  let root = try Kernel.open(folder, O_RDONLY | O_DIRECTORY)
  for path in ["/usr/lib/file", "lib/file", "/lib/../../../lib/file"] {
    let file = try Kernel.open(path, in: root)
    #expect(try readAll(file, limit: 100, subject: path) == Array("inside".utf8))
  }
  for path in ["/out", "/etc/passwd", "../etc/passwd"] {
    #expect(throws: SyscallError.self, "\(path)") { _ = try Kernel.open(path, in: root) }
  }
}
