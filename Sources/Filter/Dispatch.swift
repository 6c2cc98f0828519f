/// Where a program goes by a call's number alone: for all 2^32 numbers at once, and exactly.
///
/// libseccomp's programs look at architecture and number first and at arguments last, so the numbers fall into a few hundred ranges; each
/// either has its answer already, or goes on at an instruction from which the arguments decide.
struct Dispatch {
  enum End: Equatable {
    case returns(UInt32)
    case readsArguments(at: Int)
  }
  struct Branch {
    let numbers: ClosedRange<UInt32>
    let end: End
  }
  /// Sorted by numbers, without gaps.
  let branches: [Branch]

  /// Nil for a program that does more with the number than to compare it with constants, or that the kernel would not load.
  init?(_ program: Program, architecture: UInt32) {
    enum Accumulator {
      case number
      case constant(UInt32)
    }
    var branches: [Branch] = []
    var open: [(place: Int, accumulator: Accumulator, numbers: [ClosedRange<UInt32>])] = [(0, .constant(0), [0...(.max)])]
    walk: while var (place, accumulator, numbers) = open.popLast() {
      func end(_ end: End) { branches += numbers.map { Branch(numbers: $0, end: end) } }
      while place < program.instructions.count {
        let instruction = program.instructions[place]
        let operand = instruction.operand
        switch (instruction.code, accumulator) {
        case (0x20, _) where operand == 0: accumulator = .number
        case (0x20, _) where operand == 4: accumulator = .constant(architecture)
        case (0x20, _):
          end(.readsArguments(at: place))
          continue walk
        case (0x06, _):
          end(.returns(operand))
          continue walk
        case (0x05, _): place += Int(operand)
        case (0x15, .constant(let value)): place += Int(value == operand ? instruction.jumpTrue : instruction.jumpFalse)
        case (0x15, .number), (0x25, .number), (0x35, .number):
          let bounds: (UInt32, UInt32)?
          switch instruction.code {
          case 0x15: bounds = (operand, operand)
          case 0x25: bounds = operand == .max ? nil : (operand + 1, .max)
          default: bounds = (operand, .max)
          }
          let (inside, outside) = divide(numbers, bounds)
          if !outside.isEmpty { open.append((place + 1 + Int(instruction.jumpFalse), accumulator, outside)) }
          if inside.isEmpty { continue walk }
          numbers = inside
          place += Int(instruction.jumpTrue)
        default: return nil
        }
        place += 1
      }
      return nil
    }
    self.branches = branches.sorted { $0.numbers.lowerBound < $1.numbers.lowerBound }
  }

  func end(for number: UInt32) -> End {
    var (low, high) = (0, branches.count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if branches[middle].numbers.lowerBound <= number { low = middle } else { high = middle - 1 }
    }
    return branches[low].end
  }
}

/// The numbers within the bounds, and the others.
private func divide(_ numbers: [ClosedRange<UInt32>], _ bounds: (low: UInt32, high: UInt32)?) -> (
  inside: [ClosedRange<UInt32>], outside: [ClosedRange<UInt32>]
) {
  guard let bounds else { return ([], numbers) }
  var inside: [ClosedRange<UInt32>] = []
  var outside: [ClosedRange<UInt32>] = []
  for range in numbers {
    guard range.upperBound >= bounds.low, range.lowerBound <= bounds.high else {
      outside.append(range)
      continue
    }
    if range.lowerBound < bounds.low { outside.append(range.lowerBound...(bounds.low - 1)) }
    inside.append(max(range.lowerBound, bounds.low)...min(range.upperBound, bounds.high))
    if range.upperBound > bounds.high { outside.append((bounds.high + 1)...range.upperBound) }
  }
  return (inside, outside)
}

extension Program {
  func evaluate(_ call: Call, after end: Dispatch.End) -> UInt32? {
    switch end {
    case .returns(let code): code
    case .readsArguments(let place): evaluate(call, from: place)
    }
  }
}
