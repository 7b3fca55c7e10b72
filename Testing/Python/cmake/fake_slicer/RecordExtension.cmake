# Writes down the metadata that Slicer would publish, one "NAME=value" per line.
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  file(APPEND ${CMAKE_BINARY_DIR}/extension.txt "${name}=${EXTENSION_${name}}\n")
endforeach()
file(APPEND ${CMAKE_BINARY_DIR}/extension.txt "PROJECT=${PROJECT_NAME}\n")
