"""W2: the MNIST CNN (3x3 convolutions to 32 and 64 channels, max-pool, dropout, 9216-128-10), batch 64, Adam."""

import torch
from torch import nn
from torch.nn import functional as F

from pictures import Batches
from training import trainer


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout(F.max_pool2d(x, 2))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def open(setting):
    model = Net()
    if setting.tuned:
        model = model.to(memory_format=torch.channels_last)
    optimizer = setting.optimizer(torch.optim.Adam, model.parameters(), lr=1e-3)
    batches = Batches(setting.data, 64, channels_last=setting.tuned)
    return trainer(model, nn.CrossEntropyLoss(), optimizer, batches.take)
