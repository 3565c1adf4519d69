"""Addresses of the chat's pages."""

from django.urls import path

from clubhouse.chat import views

app_name = "chat"
urlpatterns = [
    path("", views.rooms, name="rooms"),
    path("new/", views.CreateRoomView.as_view(), name="create"),
    path("<int:room_id>/", views.room, name="room"),
    path("<int:room_id>/join/", views.join, name="join"),
    path("<int:room_id>/leave/", views.leave, name="leave"),
    path("<int:room_id>/send/", views.send, name="send"),
    path("<int:room_id>/people/", views.people, name="people"),
    path("<int:room_id>/messages", views.messages, name="messages"),
]
