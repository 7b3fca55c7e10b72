# Packing an extension is Slicer's business.
