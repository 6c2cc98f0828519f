import Bytes
import ELF
import Wire

extension Walk {
  /// The finding, with names where somebody is going to read it.
  consuming func finish(explain: Bool) -> Finding {
    finding.modules = modules.list
    finding.violations.sort { ($0.frame, $0.check.rawValue) < ($1.frame, $1.check.rawValue) }
    guard explain || !finding.isClean else { return finding }
    for (index, names) in names.enumerated() {
      guard let names = self.names(names) else { continue }
      if let (name, start) = names.image.function(at: names.lookup) {
        finding.frames[index].function = name
        finding.frames[index].functionOffset = names.address.value &- start.value
      } else if let start = names.functionStart {
        finding.frames[index].functionOffset = names.address.value &- start.value
      }
    }
    return finding
  }

  private func names(_ named: Named) -> Names? {
    switch named {
    case .nothing: return nil
    case .names(let names): return names
    case .step(let place):
      let visited = trail[place]
      return Names(
        image: visited.code.image, address: visited.code.address, lookup: visited.place.arrival.lookup(visited.code.address),
        functionStart: visited.functionStart)
    }
  }

  /// Words that are read below SP, and how many of them are listed.
  private static let wordsBelow = 32
  private static let maxBelow = 8

  /// What the thread returned through last lies just below SP, until a call writes over it: the trail of a chain of gadgets, and of
  /// nothing else that could be told from it. It is shown, and decides nothing.
  mutating func listBelow(in space: inout some AddressSpace) {
    guard let stackPointer = snapshot.registers[Registers.rsp] else { return }
    let count = UInt64(Walk.wordsBelow * 8)
    guard stackPointer > count else { return }
    let bytes: [UInt8]
    do throws(Unreadable) { bytes = try space.read(at: stackPointer - count, upTo: Int(count)) } catch { return }
    guard bytes.count == Int(count) else { return }
    for index in (0..<Walk.wordsBelow).reversed() where finding.below.count < Walk.maxBelow {
      let word = littleEndian(bytes, at: index * 8)
      // Small numbers and the stack's own addresses are no code, and asking about each costs a question.
      guard word > 0xffff, isExecutable(word, in: &space), case .found(let code) = modules.code(at: word, in: &space) else { continue }
      let function = code.image.function(at: code.address)
      finding.below.append(
        Frame(
          module: code.module, offset: code.address.value, function: function?.name,
          functionOffset: function.map { code.address.value &- $0.start.value } ?? 0, source: .none))
    }
  }

  private func isExecutable(_ address: UInt64, in space: inout some AddressSpace) -> Bool {
    do throws(Unreadable) { return try space.mapping(at: address)?.isExecutable ?? false } catch { return false }
  }
}
