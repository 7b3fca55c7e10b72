raise ImportError("DLL load failed: the specified module could not be found", name="damaged_library")
