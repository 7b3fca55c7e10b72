"""Slicer's module ``SampleData``: registers sample images, and loads those that are files on this machine."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer

from .not_imitated import NotImitated


def _listed(value: Any, length: int) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value] * length


class SampleDataSource:
    """A named set of files to download and load."""

    def __init__(
        self,
        *,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: dict | None = None,
    ) -> None:
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.uris = _listed(uris, 1)
        count = len(self.uris)
        self.fileNames = _listed(fileNames, count)
        self.nodeNames = _listed(nodeNames, count)
        self.checksums = _listed(checksums, count)
        self.loadFiles = _listed(loadFiles, count)
        self.loadFileTypes = _listed(loadFileTypes, count)
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        lists = (self.fileNames, self.nodeNames, self.checksums, self.loadFiles, self.loadFileTypes)
        if any(len(entries) != count for entries in lists):
            raise ValueError(f"Sample {sampleName!r} names {count} files, and another number of something else")


class SampleDataLogic:
    """Registers and loads sample data."""

    def __init__(self, logMessage: Any = None) -> None:
        self.logMessage = logMessage

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Give a category the title that a person sees."""
        if not hasattr(slicer.modules, "sampleDataSourceCategories"):
            slicer.modules.sampleDataSourceCategories = {}
        slicer.modules.sampleDataSourceCategories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(  # noqa: PLR0917 - Slicer's
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: dict | None = None,
        checksums: Any = None,
        loadFileType: Any = None,
    ) -> None:
        """Add a sample to a category; the same one a second time is left out.

        Not every field of a `SampleDataSource` can be given: Slicer's function has no parameter for a description.
        """
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes if loadFileType is None else loadFileType,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
        )
        if all(vars(source) != vars(other) for other in sources):
            sources.append(source)

    def sourceForSampleName(self, name: str) -> SampleDataSource | None:
        """The registered sample of this name."""
        categories = getattr(slicer.modules, "sampleDataSources", {}).values()
        return next((source for sources in categories for source in sources if source.sampleName == name), None)

    def downloadSamples(self, name: str) -> list[Any]:
        """Load a sample by name.

        Raises
        ------
        NotImitated
            If a file would have to be downloaded.
        """
        source = self.sourceForSampleName(name)
        return self.downloadFromSource(source) if source else []

    def downloadFromSource(self, source: SampleDataSource) -> list[Any]:
        """Load the files of a sample."""
        if source.customDownloader is not None:
            return source.customDownloader(source)
        return [self._load(source, index) for index in range(len(source.uris))]

    def _load(self, source: SampleDataSource, index: int) -> Any:
        address = urlparse(source.uris[index])
        if address.scheme != "file":
            raise NotImitated("Downloading sample data", f"Asked for {source.uris[index]}.")
        path = url2pathname(address.path)
        algorithm, digest = slicer.util.extractAlgoAndDigest(source.checksums[index])
        if algorithm and slicer.util.computeChecksum(algorithm, path) != digest:
            raise ValueError(f"The checksum of {path} is not {source.checksums[index]}")
        properties = dict(source.loadFileProperties)
        if source.nodeNames[index]:
            properties["name"] = source.nodeNames[index]
        return slicer.util.loadNodeFromFile(path, source.loadFileTypes[index], properties)


def create_sample_data_module() -> ModuleType:
    """Build the module ``SampleData``."""
    module = ModuleType("SampleData", "Sample data as Slicer's module of this name registers and loads it.")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    module.downloadSamples = lambda name: SampleDataLogic().downloadSamples(name)
    module.downloadSample = lambda name: SampleDataLogic().downloadSamples(name)[0]
    return module
