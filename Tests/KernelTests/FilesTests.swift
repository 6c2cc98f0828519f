import Foundation
import Kernel
import Testing

private func scratch() throws -> String {
  let path = NSTemporaryDirectory() + "callgate-kernel-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

@Suite struct FilesTests {
  @Test func `a file is replaced whole and keeps its mode`() throws {
    let path = try scratch() + "/config.json"
    try "old".write(toFile: path, atomically: false, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
    try replaceFile(path, with: Array("new".utf8))
    #expect(try readFile(path, limit: 100) == Array("new".utf8))
    #expect(try identity(of: path).mode & 0o7777 == 0o640)
    #expect(try list(String(path.dropLast("/config.json".count))) == ["config.json"])
  }

  @Test func `what cannot be replaced stays as it was, with nothing beside it`() throws {
    let directory = try scratch()
    try FileManager.default.createDirectory(atPath: directory + "/target", withIntermediateDirectories: true)
    #expect(throws: SyscallError.self) { try replaceFile(directory + "/target", with: [1]) }
    #expect(try list(directory) == ["target"])
  }

  @Test func `a file beyond the limit is refused, not cut`() throws {
    let path = try scratch() + "/large"
    try Data(count: 1000).write(to: URL(fileURLWithPath: path))
    #expect(try readFile(path, limit: 1000).count == 1000)
    #expect(throws: SyscallError.self) { try readFile(path, limit: 999) }
  }

  @Test func `lines are appended, and a full file is set aside`() throws {
    let directory = try scratch()
    let path = directory + "/log/events.jsonl"
    for line in ["one", "two", "three"] { try appendLine(Array(line.utf8), to: path, rotatingAt: 8) }
    #expect(try readFile(path + ".1", limit: 100) == Array("one\ntwo\n".utf8))
    #expect(try readFile(path, limit: 100) == Array("three\n".utf8))
    #expect(try identity(of: path).mode & 0o777 == 0o600)
  }

  @Test func `a log that is a link is not followed`() throws {
    let directory = try scratch()
    try FileManager.default.createSymbolicLink(atPath: directory + "/events.jsonl", withDestinationPath: directory + "/elsewhere")
    #expect(throws: SyscallError.self) { try appendLine([1], to: directory + "/events.jsonl", rotatingAt: 100) }
    #expect(!exists(directory + "/elsewhere"))
  }
}
