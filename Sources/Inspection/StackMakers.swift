import ELF

/// Stacks that a program makes for itself: whoever writes one word into any memory, and brings SP there, has a chain that ends where libc's
/// coroutines and children of clone begin. No other word on such a stack is the kernel's or the loader's. What cannot be forged is which
/// files ask libc for the function that makes one: of ordinary programs hardly any do.
extension Walk {
  enum Maker: String {
    case makecontext, clone
  }

  /// The function that the start in `code` has called lies in a file that can have made this stack. Libraries start their coroutines and
  /// their children in functions of their own. A static program holds both the start and the rest: that it has it at all must do.
  func isMade(by maker: Maker, startingIn code: Code) -> Bool {
    do throws(ELFError) {
      guard try code.image.exports(maker.rawValue) else { return true }
      guard let callee = calleeOfCurrent?.code, callee.image !== code.image else { return false }
      return try callee.image.isImported(maker)
    } catch { return false }
  }
}

extension Image {
  fileprivate func isImported(_ maker: Walk.Maker) throws(ELFError) -> Bool {
    if let known = importsMaker[maker] { return known }
    let found = try file.imports(maker.rawValue)
    importsMaker[maker] = found
    return found
  }
}
