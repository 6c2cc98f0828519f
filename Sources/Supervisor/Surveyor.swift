package import Diagnostics
package import Kernel
package import Wire

/// Has files that are not trusted looked through by an inspector: not a byte of theirs is interpreted here.
package final class Surveyor {
  private let inspector: Inspector

  package init(inspectorProgram: String) throws(Refusal) {
    do throws(InspectorError) { inspector = try Inspector(program: inspectorProgram) } catch {
      throw Refusal(.inspectorLost, "the inspector did not start: \(error)")
    }
  }

  /// Of a regular file that is open for reading. Refuses where the inspector ended over it, or was too late.
  package func survey(_ request: SurveyRequest, of file: borrowing OwnedFD) throws(Refusal) -> Survey {
    do throws(InspectorError) { return try inspector.survey(request, of: file) } catch {
      throw Refusal(.inspectorLost, "the file could not be looked through: \(error)")
    }
  }
}
