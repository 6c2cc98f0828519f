import ArgumentParser
import Diagnostics
import JSON
import Kernel
import Launch
import Report

/// What of the record a command is to show.
struct RecordOptions: ParsableArguments {
  @Argument(help: "Only those of this container or run: its id, or the beginning of it.") var container: String?
  @Option(help: "How many at most.") var last = 5
  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard last > 0 else { throw ValidationError("--last takes a number above 0") }
  }

  func includes(_ name: String) -> Bool { container.map { name.hasPrefix($0) } ?? true }
}

/// What the supervisors of this host have written down, oldest first: the file before the last rotation, then the present one.
struct Record {
  var events: [Event] = []
  var summaries: [Summary] = []
}

/// Says on standard error how many lines were none. No file yet is an empty record.
func readRecord(at path: String) throws -> Record {
  var record = Record()
  var unreadable = 0
  for file in [path + ".1", path] {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try readFile(file, limit: 128 << 20)
    } catch {
      if error.isNotFound { continue }
      throw Refusal(.stateDirectory, error.description, hint: "the record of root's containers is root's to read")
    }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      // A line that a full disk has torn, or that another version wrote, is neither.
      let value: JSONValue
      do throws(JSONError) { value = try JSONValue(parsing: Array(line)) } catch {
        unreadable += 1
        continue
      }
      if let event = Event(json: value) {
        record.events.append(event)
      } else if let summary = Summary(json: value) {
        record.summaries.append(summary)
      } else {
        unreadable += 1
      }
    }
  }
  if unreadable > 0 { complain("callgatectl: \(unreadable) lines of \(path) are torn, or not of this version, and left out") }
  return record
}
