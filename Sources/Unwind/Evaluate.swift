import Bytes
import ELF

/// The call frame instructions of one function (DWARF 5, 6.4.2), run up to the row that holds an address.
struct RowMachine {
  /// gcc nests one or two; each costs a copy of the whole state.
  static let maxRemembered = 64

  private struct State {
    var cfa: CFARule?
    var registers: [16 of Rule] = .init(repeating: .unspecified)
    var returnAddress: Rule = .unspecified

    /// Columns above 16 (vector registers and the like) have rules, but nobody here asks for them.
    subscript(column: UInt64) -> Rule {
      get { column < 16 ? registers[Int(column)] : column == 16 ? returnAddress : .unspecified }
      set { if column < 16 { registers[Int(column)] = newValue } else if column == 16 { returnAddress = newValue } }
    }
  }

  private let entry: FrameEntry
  private let wanted: ImageAddress
  private var state = State()
  private var initial = State()
  private var remembered: [State] = []
  private var location: ImageAddress

  /// The row of `entry` that holds `address`, which lies in the entry's range.
  static func row(of entry: FrameEntry, at address: ImageAddress, budget: inout Budget) throws(UnwindError) -> Row {
    guard entry.range.contains(address) else { throw .malformed(.row) }
    try budget.spend(entry.common.instructions.count + entry.instructions.count)
    var machine = RowMachine(entry: entry, wanted: address)
    var cursor = Cursor(entry.common.instructions.span)
    guard try machine.run(&cursor, base: entry.common.instructionsAddress, isCommon: true) == nil else { throw .malformed(.cie) }
    machine.initial = machine.state
    cursor = Cursor(entry.instructions.span)
    let end = try machine.run(&cursor, base: entry.instructionsAddress, isCommon: false) ?? entry.end
    guard let cfa = machine.state.cfa else { throw .malformed(.row) }
    var row = Row(start: machine.location, end: end)
    row.cfa = cfa
    row.registers = machine.state.registers
    row.returnAddress = machine.state.returnAddress
    row.isSignalFrame = entry.isSignalFrame
    return row
  }

  private init(entry: FrameEntry, wanted: ImageAddress) {
    self.entry = entry
    self.wanted = wanted
    location = entry.range.start
  }

  /// Runs to the end, or to the instruction that moves past the wanted address: then the result is where the next row starts.
  private mutating func run(_ cursor: inout Cursor, base: ImageAddress, isCommon: Bool) throws(UnwindError) -> ImageAddress? {
    while !cursor.isAtEnd {
      let byte = try number(&cursor) { (c) throws(BytesError) in UInt64(try c.u8()) }
      let low = byte & 0x3f
      switch byte & 0xc0 {
      case 0x40:  // advance_loc
        if let next = try advance(low, isCommon) { return next }
        continue
      case 0x80:  // offset
        try set(low, .saved(try factored(try number(&cursor) { (c) throws(BytesError) in try c.uleb() })))
        continue
      case 0xc0:  // restore
        restore(low)
        continue
      default: break
      }
      switch low {
      case 0x00: break  // nop
      case 0x01:  // set_loc
        guard !isCommon else { throw .malformed(.cie) }
        let target = try cursor.pointer(entry.common.addressEncoding, base: base, data: nil)
        guard target >= location, target <= entry.end else { throw .malformed(.row) }
        if target > wanted { return target }
        location = target
      case 0x02: if let next = try advance(number(&cursor) { (c) throws(BytesError) in UInt64(try c.u8()) }, isCommon) { return next }
      case 0x03: if let next = try advance(number(&cursor) { (c) throws(BytesError) in UInt64(try c.u16()) }, isCommon) { return next }
      case 0x04: if let next = try advance(number(&cursor) { (c) throws(BytesError) in UInt64(try c.u32()) }, isCommon) { return next }
      case 0x05:  // offset_extended
        let column = try uleb(&cursor)
        try set(column, .saved(try factored(try uleb(&cursor))))
      case 0x06: restore(try uleb(&cursor))  // restore_extended
      case 0x07: try set(try uleb(&cursor), .undefined)
      case 0x08: try set(try uleb(&cursor), .sameValue)
      case 0x09:  // register
        let column = try uleb(&cursor)
        let source = try uleb(&cursor)
        if column <= 16 { try set(column, .register(try general(source))) }
      case 0x0a:  // remember_state
        guard remembered.count < RowMachine.maxRemembered else { throw .tooLarge(.instructions, UInt64(remembered.count)) }
        remembered.append(state)
      case 0x0b:  // restore_state
        guard let last = remembered.popLast() else { throw .malformed(.instructions) }
        state = last
      case 0x0c:  // def_cfa
        let register = try general(try uleb(&cursor))
        state.cfa = .register(register, offset: try signed(try uleb(&cursor)))
      case 0x0d:  // def_cfa_register
        let register = try general(try uleb(&cursor))
        guard case .register(_, let offset) = state.cfa else { throw .malformed(.instructions) }
        state.cfa = .register(register, offset: offset)
      case 0x0e:  // def_cfa_offset
        let offset = try signed(try uleb(&cursor))
        guard case .register(let register, _) = state.cfa else { throw .malformed(.instructions) }
        state.cfa = .register(register, offset: offset)
      case 0x0f: state.cfa = .computed(try expression(&cursor, base: base))  // def_cfa_expression
      case 0x10:  // expression
        let column = try uleb(&cursor)
        try set(column, .savedAt(try expression(&cursor, base: base)))
      case 0x11:  // offset_extended_sf
        let column = try uleb(&cursor)
        try set(column, .saved(try factored(try sleb(&cursor))))
      case 0x12:  // def_cfa_sf
        let register = try general(try uleb(&cursor))
        state.cfa = .register(register, offset: try factored(try sleb(&cursor)))
      case 0x13:  // def_cfa_offset_sf
        let offset = try factored(try sleb(&cursor))
        guard case .register(let register, _) = state.cfa else { throw .malformed(.instructions) }
        state.cfa = .register(register, offset: offset)
      case 0x14:  // val_offset
        let column = try uleb(&cursor)
        try set(column, .value(try factored(try uleb(&cursor))))
      case 0x15:  // val_offset_sf
        let column = try uleb(&cursor)
        try set(column, .value(try factored(try sleb(&cursor))))
      case 0x16:  // val_expression
        let column = try uleb(&cursor)
        try set(column, .computed(try expression(&cursor, base: base)))
      case 0x2e: _ = try uleb(&cursor)  // GNU_args_size: for landing pads, no part of the CFA
      case 0x2f:  // GNU_negative_offset_extended
        let column = try uleb(&cursor)
        let offset = try factored(try uleb(&cursor))
        guard offset != .min else { throw .malformed(.instructions) }
        try set(column, .saved(-offset))
      default: throw .unsupported(.instructions)
      }
    }
    return nil
  }

  private mutating func advance(_ delta: UInt64, _ isCommon: Bool) throws(UnwindError) -> ImageAddress? {
    guard !isCommon else { throw .malformed(.cie) }
    let (bytes, overflow) = delta.multipliedReportingOverflow(by: entry.common.codeAlignment)
    let (target, wrapped) = location.value.addingReportingOverflow(bytes)
    // At the end itself no row is left, but assemblers do write such an instruction.
    guard !overflow, !wrapped, target <= entry.end.value else { throw .malformed(.row) }
    if ImageAddress(target) > wanted { return ImageAddress(target) }
    location = ImageAddress(target)
    return nil
  }

  private mutating func set(_ column: UInt64, _ rule: Rule) throws(UnwindError) { state[column] = rule }

  private mutating func restore(_ column: UInt64) { state[column] = initial[column] }

  private func general(_ column: UInt64) throws(UnwindError) -> UInt8 {
    guard column < 16 else { throw .unsupported(.instructions) }
    return UInt8(column)
  }

  private func signed(_ value: UInt64) throws(UnwindError) -> Int64 {
    guard let result = Int64(exactly: value) else { throw .malformed(.instructions) }
    return result
  }

  private func factored(_ value: UInt64) throws(UnwindError) -> Int64 { try factored(try signed(value)) }

  private func factored(_ value: Int64) throws(UnwindError) -> Int64 {
    let (result, overflow) = value.multipliedReportingOverflow(by: entry.common.dataAlignment)
    guard !overflow else { throw .malformed(.instructions) }
    return result
  }

  private func uleb(_ cursor: inout Cursor) throws(UnwindError) -> UInt64 {
    try number(&cursor) { (c) throws(BytesError) in try c.uleb() }
  }

  private func sleb(_ cursor: inout Cursor) throws(UnwindError) -> Int64 {
    do throws(BytesError) { return try cursor.sleb() } catch { throw .malformed(.instructions) }
  }

  private func number(
    _ cursor: inout Cursor, _ read: (inout Cursor) throws(BytesError) -> UInt64
  ) throws(UnwindError) -> UInt64 {
    do throws(BytesError) { return try read(&cursor) } catch { throw .malformed(.instructions) }
  }

  private func expression(_ cursor: inout Cursor, base: ImageAddress) throws(UnwindError) -> Expression {
    let count = try uleb(&cursor)
    guard count <= UInt64(Calculator.maxBytes) else { throw .tooLarge(.expression, count) }
    let address = base + UInt64(cursor.offset)
    do throws(BytesError) { try cursor.skip(Int(count)) } catch { throw .malformed(.expression) }
    return Expression(address: address, count: UInt16(count))
  }
}
