import Diagnostics
import JSON
import Kernel
import OCI

/// Tells the engine why: one line in the file of --log, and one on standard error.
///
/// podman reads the whole file as one JSON object, containerd takes the last line of level error; both only after a failure.
struct FailureLog {
  private let file: String?
  private let isJSON: Bool

  init(_ arguments: Arguments) {
    isJSON = arguments.logFormat == "json"
    // crun's notation: `file:` is a plain path, `journald:` and `syslog:` are no files.
    guard let log = arguments.log, !log.hasPrefix("journald:"), !log.hasPrefix("syslog:") else {
      file = nil
      return
    }
    file = log.hasPrefix("file:") ? String(log.dropFirst(5)) : log
  }

  func write(_ refusal: Refusal) {
    let message = withoutEngineWords(refusal.description)
    let now = timestamp(wallMilliseconds())
    let json = JSONValue.object([
      JSONMember("level", .string("error")), JSONMember("msg", .string(message)), JSONMember("time", .string(now)),
    ])
    let jsonLine = String(decoding: json.serialised(), as: UTF8.self)
    if let file, !file.isEmpty {
      // logrus' text form, as runc writes it without --log-format=json.
      let quoted = String(decoding: JSONValue.string(message).serialised(), as: UTF8.self)
      let line = isJSON ? jsonLine : "time=\"\(now)\" level=error msg=\(quoted)"
      do throws(SyscallError) { try appendToFile(file, Array("\(line)\n".utf8)) } catch { complain("callgate: \(error.plain)") }
    }
    complain(isJSON ? jsonLine : "callgate: \(message)")
  }
}

/// podman chooses its exit status, and its own message, by these words wherever they stand (libpod, getOCIRuntimeError). Our messages
/// have none of them, but they quote names and paths.
private let engineWords = [
  "no such file or directory", "executable file not found in", "permission denied", "operation not permitted",
]

private func withoutEngineWords(_ message: String) -> String {
  var bytes = Array(message.utf8)
  for words in engineWords.map({ Array($0.utf8) }) where bytes.count >= words.count {
    for start in 0...(bytes.count - words.count) {
      let found = zip(bytes[start...], words).allSatisfy { $0 | ($0 & 0x40) >> 1 == $1 }
      if found {
        for place in start..<(start + words.count) where bytes[place] == UInt8(ascii: " ") { bytes[place] = UInt8(ascii: "_") }
      }
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}
