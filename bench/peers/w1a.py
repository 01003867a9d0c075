"""W1a: a whole epoch of the seed program: a Dataset class and a DataLoader (shuffled, ragged last batch), a step here is an
epoch."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pictures import mnist
from training import LOG_EVERY
from w1 import Net


def to_tensor(picture):
    """What torchvision's ToTensor does with a grey picture of bytes: floats in [0, 1], [1,28,28]."""
    return torch.from_numpy(picture).unsqueeze(0).to(torch.float32).div(255)


class Pictures(Dataset):
    def __init__(self, folder, split, transform):
        images, labels = mnist(folder, split)
        self.images, self.labels, self.transform = images.copy(), labels.tolist(), transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]


def open(setting):
    loader = DataLoader(Pictures(setting.data, "train", to_tensor), batch_size=64, shuffle=True)
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = setting.optimizer(torch.optim.Adam, model.parameters(), lr=1e-3)

    def epoch():
        last = None
        for step, (x, y) in enumerate(loader, 1):
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % LOG_EVERY == 0:
                last = loss.item()
        return last

    def run(epochs):
        last = None
        for _ in range(epochs):
            last = epoch()
        return last

    return run
