"""What a bundle's configuration may name without anybody having trusted it.

These are lists of what is allowed; whatever is not in them is refused until a person trusts the bundle. Two zones are
told apart. *Live* settings are evaluated when the bundle runs here: networks, transforms, inferers and whatever they
refer to. *Idle* settings (datasets, handlers, the evaluator's run) are never evaluated here, but ordinary bundles carry
them, so what such bundles use there to find files is let pass.
"""

from __future__ import annotations

import re
from typing import Final

PASCAL: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_LOWER: Final = re.compile(r"[a-z][a-z0-9_]*")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEFAULT_NAMES: Final = {"monai": "monai", "torch": "torch", "np": "numpy", "numpy": "numpy"}
"""Names that MONAI binds in every expression."""

BUILTINS: Final = _words(
    "abs all any bool bytes complex dict divmod enumerate filter float frozenset int isinstance iter len "
    "list map max min next pow print range repr reversed round set slice sorted str sum tuple zip True "
    "False None Ellipsis"
)

HARMFUL_BUILTINS: Final = _words(
    "__import__ eval exec compile globals locals vars breakpoint delattr memoryview __builtins__ __loader__ __spec__"
)
"""Names that no description of a network needs."""

HARMFUL_MODULES: Final = _words(
    "subprocess socket ctypes pty builtins importlib webbrowser ftplib smtplib telnetlib pickle marshal "
    "shelve code codeop runpy posix nt _thread zipimport winreg msvcrt ensurepip pip site cffi pexpect "
    "paramiko"
)
HARMFUL_MEMBERS: Final = re.compile(
    r"^os\.(system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork\w*|kill\w*|remove\w*|unlink|rmdir|rename\w*|replace|startfile"
    r"|chmod|chown|putenv|symlink|link|truncate|_exit|abort|open|fdopen)\b"
    r"|^torch\.(package|ops|utils\.cpp_extension)\b|^numpy\.(ctypeslib|f2py|distutils|testing|lib)\b"
    r"|^sys\.(modules|settrace|setprofile|meta_path|path_hooks)\b"
    r"|\.(os|sys|subprocess|builtins|ctypes|importlib|socket|pickle|shutil)(\.|$)"
)
"""Names that no honest model needs; they are refused with a warning and cannot be trusted."""

MEMBERS: Final[dict[str, frozenset[str] | re.Pattern[str]]] = {
    "torch": _words(
        "device dtype Tensor tensor as_tensor from_numpy zeros ones full empty zeros_like ones_like full_like "
        "rand randn randint arange linspace eye cat stack concat concatenate where sum mean std max min amax "
        "amin argmax argmin abs exp log sqrt clamp clip round floor ceil sigmoid softmax log_softmax tanh "
        "relu nan_to_num isnan squeeze unsqueeze flatten reshape permute transpose movedim flip rot90 cumsum "
        "prod any all sort topk unique bincount nonzero logical_and logical_or logical_not logical_xor eq ne "
        "gt lt ge le add sub mul div pow maximum minimum norm no_grad inference_mode enable_grad autocast "
        "manual_seed Generator Size channels_last channels_last_3d contiguous_format preserve_format float "
        "float16 float32 float64 bfloat16 half double int int8 int16 int32 int64 uint8 short long bool "
        "complex64 strided pi inf nan"
    ),
    "torch.nn": PASCAL,
    "torch.nn.functional": _words(
        "relu gelu leaky_relu elu silu sigmoid softmax log_softmax softplus tanh interpolate pad one_hot "
        "normalize dropout avg_pool2d avg_pool3d max_pool2d max_pool3d adaptive_avg_pool2d "
        "adaptive_avg_pool3d cross_entropy mse_loss l1_loss binary_cross_entropy "
        "binary_cross_entropy_with_logits grid_sample affine_grid conv2d conv3d"
    ),
    "torch.optim": PASCAL,
    "torch.optim.lr_scheduler": PASCAL,
    "torch.cuda": _words("is_available device_count current_device is_bf16_supported get_device_capability"),
    "torch.cuda.amp": _words("GradScaler autocast"),
    "torch.amp": _words("GradScaler autocast"),
    "torch.backends.cudnn": _words("benchmark deterministic enabled is_available"),
    "torch.backends.mps": _words("is_available is_built"),
    "torch.utils.data": _words("DataLoader Dataset Subset ConcatDataset TensorDataset RandomSampler SequentialSampler"),
    "numpy": _words(
        "array asarray zeros ones full empty eye arange linspace concatenate stack where sum mean std median "
        "percentile max min amax amin argmax argmin abs exp log sqrt clip round floor ceil prod cumsum any "
        "all sort unique squeeze expand_dims reshape transpose moveaxis flip rot90 isnan nan_to_num "
        "logical_and logical_or logical_not maximum minimum ravel diag deg2rad rad2deg sin cos tan pi inf nan "
        "newaxis float16 float32 float64 float_ int_ bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
        "ndarray dtype"
    ),
    "numpy.linalg": _words("norm inv det"),
    "math": _LOWER,
    "functools": _words("partial reduce"),
    "itertools": _words("chain product repeat cycle islice accumulate zip_longest"),
    "copy": _words("copy deepcopy"),
    "pathlib": _words("PurePath PurePosixPath"),
    "os": _words("sep"),
    "os.path": _words("join basename dirname splitext split normpath sep"),
}

IDLE_MEMBERS: Final[dict[str, frozenset[str] | re.Pattern[str]]] = {
    "pathlib": _words("Path"),  # its method "replace" moves files
    "os": _words("listdir makedirs getcwd cpu_count"),
    "os.path": _words("exists isfile isdir getmtime getsize abspath realpath relpath expanduser"),
    "glob": _words("glob iglob"),
    "json": _words("loads dumps"),
    "datetime": _words("datetime date timedelta"),
    "time": _words("time strftime"),
    "torch": _words("distributed"),
}

IMPORTS: Final = _words(
    "glob os os.path pathlib math functools itertools copy json datetime time random re sys logging "
    "warnings collections typing string numpy torch torch.nn torch.nn.functional torch.optim monai "
    "numpy.linalg ignite PIL nibabel torchvision"
)
"""Modules whose import alone does nothing; what may be used of them is said above."""

ATTRIBUTES: Final = _words(
    # tensors and arrays
    "to cpu cuda numpy detach clone contiguous float double half int long short bool bfloat16 type dtype "
    "device shape size ndim dim numel item tolist view reshape permute transpose squeeze unsqueeze "
    "flatten expand repeat sum mean std max min argmax argmin abs round clamp sigmoid softmax any all "
    "astype copy T unique nonzero norm cumsum prod index start stop affine pixdim meta spatial_shape "
    "requires_grad data fill_ flip cat stack mul add div sub gt lt ge le eq ne ravel "
    # modules and engines
    "eval train parameters named_parameters modules children state_dict load_state_dict module transforms "
    "inverse flatten training set_timesteps set_target_keys set_box_selector_parameters "
    "set_sliding_window_inferer in_channels out_channels spatial_dims num_classes inferer network state "
    "batch output iteration epoch epoch_length max_epochs metrics key_metric_name "
    # text, lists, dictionaries, paths
    "join split rsplit splitlines strip lstrip rstrip lower upper title replace startswith endswith "
    "removeprefix removesuffix zfill isdigit find count append extend insert index keys values items get "
    "update copy union intersection difference name stem suffix suffixes parent parents parts joinpath "
    "as_posix with_suffix with_name is_absolute from_iterable fromkeys convert value total year month day "
    "encode decode add sort reverse pop"
)

IDLE_ATTRIBUTES: Final = _words(
    "run attach exists is_file is_dir glob rglob iterdir mkdir resolve absolute read_text now today "
    "strftime isoformat close best_metric ema_model add_event_handler create_dataset"
)

FUNCTIONS: Final = _words(
    "from_engine list_data_collate pad_list_data_collate decollate_batch no_collation set_determinism "
    "ensure_tuple ensure_tuple_rep ensure_tuple_size fall_back_tuple first one_hot normalize_transform "
    "predict_segmentation concatenate sliding_window_inference copy_model_state default_prepare_batch "
    "get_activation resnet_fpn_feature_extractor resnet10 resnet18 resnet34 resnet50 resnet101 resnet152 "
    "resnet200 vista3d132 partition_dataset load_decathlon_datalist densenet121 densenet169 densenet201 "
    "densenet264 create_test_image_3d create_test_image_2d"
)
"""Functions of MONAI's packages below, by name; its classes are found by looking."""

PACKAGES: Final = _words(
    "networks transforms inferers data losses metrics optimizers engines handlers visualize utils/enums "
    "apps/detection apps/pathology apps/vista3d apps/generation apps/reconstruction apps/deepedit "
    "apps/deepgrow apps/nuclick"
)
"""Folders of MONAI whose classes may be used."""

DOWNLOADING: Final = _words(
    "EfficientNetBN EfficientNetBNFeatures EfficientNetEncoder MILModel TorchVisionFCModel ResNetFeatures "
    "TextEncoder FCN MCFCN"
)
"""Networks that download weights unless told not to."""

DENIED_CLASSES: Final = _words(
    "NumpyReader PerceptualLoss TrtHandler TRTWrapper TrtCompiler MedicalNetPerceptualSimilarity "
    "BertPreTrainedModel MultiModal Transchex CellSamWrapper MLFlowHandler LMDBDataset NPZDictItemDataset "
    "StateCacher LearningRateFinder TorchVision TorchVisiond RandTorchVisiond TorchIO TorchIOd RandTorchIO "
    "RandTorchIOd RadImageNetPerceptualSimilarity TorchvisionModelPerceptualSimilarity "
    "CuCIM CuCIMd RandCuCIM RandCuCIMd TorchVisionFullyConvModel GDSDataset ThreadContainer ImageWriter "
    "ImageReader"
)
"""Classes of MONAI that load code or pickles, talk to the network, or reach other libraries by name."""

FILE_CLASSES: Final = re.compile(
    r"\w*(Handler|Saver|Dataset|DataLoader|Logger|Writer|Reader|Register|Producer|DatasetSummary|ThreadBuffer|Trainer)"
    r"|CheckpointLoader|\w*WSI\w*|GarbageCollector|SaveClassificationd|Zarr\w*"
)
"""Classes that read or write files, start threads or take names to look up; allowed in idle settings only."""

READERS: Final = _words("NibabelReader ITKReader PILReader NrrdReader PydicomReader")
WRITERS: Final = _words("NibabelWriter ITKWriter PILWriter")
MERGERS: Final = _words("AvgMerger")
LOADERS: Final = re.compile(
    r"(LoadImage|SaveImage|WriteFileMapping|PatchInferer|FlexibleUNet|HoVerNet|DenseNet\d|SENet|SEResNe|AHNet"
    r"|ResNetEncoder)\w*",
    re.IGNORECASE,
)
"""Fine as components, whose arguments are looked at; never called in expressions, nor handed out to be called later."""


def matches(table: frozenset[str] | re.Pattern[str] | None, word: str) -> bool:
    """Whether a word is in a list or fits a pattern as a whole."""
    if table is None:
        return False
    return bool(table.fullmatch(word)) if isinstance(table, re.Pattern) else word in table
