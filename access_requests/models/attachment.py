"""Files that an applicant attached to an answer."""

import secrets
import uuid

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.db import models
from django.urls import reverse

from access_requests.models.application import Application
from portal.names import NameField


def private_storage() -> FileSystemStorage:
    """A folder that no server hands out: a file leaves through its view alone."""
    return FileSystemStorage(
        location=settings.MEDIA_ROOT / "attachments",
        base_url=None,
        file_permissions_mode=0o600,
        directory_permissions_mode=0o700,
    )


def random_name(attachment: "Attachment", filename: str) -> str:
    """Nothing of the person's own name for it reaches the disk."""
    name = secrets.token_hex(20)
    return f"{name[:2]}/{name}"


class Attachment(models.Model):
    """One file of one question. The answer names it by `public_id`."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    application = models.ForeignKey(Application, models.PROTECT, related_name="attachments")
    question = models.CharField(max_length=60, help_text="The key of the question.")
    file = models.FileField(storage=private_storage, upload_to=random_name, max_length=100)
    name = NameField(max_length=150)
    media_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.name} of {self.application_id}"

    def get_absolute_url(self) -> str:
        return reverse("access_requests:attachment", args=[self.public_id])

    def answer(self) -> dict[str, str | int]:
        """What stands in the application's answers for it."""
        return {
            "id": str(self.public_id),
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
        }
