"""W1: the seed MLP 784-128-10 on MNIST, batch 64, Adam."""

import torch
from torch import nn

from pictures import Batches
from training import trainer


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def open(setting):
    model = Net()
    optimizer = setting.optimizer(torch.optim.Adam, model.parameters(), lr=1e-3)
    return trainer(model, nn.CrossEntropyLoss(), optimizer, Batches(setting.data, 64).take)
