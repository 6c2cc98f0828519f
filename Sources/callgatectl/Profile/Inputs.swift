import Diagnostics
import Kernel
import Launch
import Recording

/// Each a recording's name, the file of a run, or a folder of such files.
func readRecordings(_ words: [String]) throws(Refusal) -> Recording {
  var all = Recording()
  for word in words {
    if word.contains("/") || word.hasSuffix(".jsonl") {
      all.merge(try RecordingStore.read(try recordingFiles(word)))
    } else {
      all.merge(try RecordingStore.own().read(word))
    }
  }
  return all
}

private func recordingFiles(_ path: String) throws(Refusal) -> [String] {
  let files: [String]
  do throws(SyscallError) {
    guard try identity(of: path).isDirectory else { return [path] }
    files = try list(path).filter { $0.hasSuffix(".jsonl") }.map { "\(path)/\($0)" }
  } catch { throw Refusal(.badRecording, error.plain) }
  guard !files.isEmpty else { throw Refusal(.badRecording, "'\(path)' holds no file of a run (*.jsonl)") }
  return files
}
