"""Reads IDX files of MNIST's form, and hands out shuffled batches of them."""

import os
import struct

import numpy
import torch


def read_idx(path):
    with open(path, "rb") as file:
        data = file.read()
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist(folder, split):
    """Pictures u8[n,28,28] and labels u8[n]."""
    prefix = "train" if split == "train" else "t10k"
    images = read_idx(os.path.join(folder, f"{prefix}-images-idx3-ubyte"))
    labels = read_idx(os.path.join(folder, f"{prefix}-labels-idx1-ubyte"))
    return images, labels


class Batches:
    """Batches in a shuffled order, pass after pass: floats in [0, 1], [batch,1,28,28], and labels, [batch]."""

    def __init__(self, folder, batch, channels_last=False):
        images, labels = mnist(folder, "train")
        # Converted once: gathering floats is no slower for PyTorch than gathering bytes and converting them in each step.
        self.images = torch.from_numpy(images.copy()).unsqueeze(1).float().div(255)
        self.labels = torch.from_numpy(labels.astype("int64"))
        if channels_last:
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.batch = batch
        self.count = len(labels) // batch
        self.order = torch.randperm(len(labels))
        self.next = 0

    def take(self):
        start = self.next * self.batch
        self.next = (self.next + 1) % self.count
        indices = self.order[start : start + self.batch]
        return self.images.index_select(0, indices), self.labels.index_select(0, indices)
