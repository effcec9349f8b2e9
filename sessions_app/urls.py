from django.urls import path

from .views import home, run, sessions, start, students

urlpatterns = [
    path("", home.home, name="home"),
    path("students/", students.index, name="student_list"),
    path("students/new/", students.new, name="student_new"),
    path("students/<slug:student_id>/", students.show, name="student"),
    path("sessions/", sessions.index, name="session_list"),
    path("sessions/new/", start.new, name="session_new"),
    path("sessions/new/place-code/", start.place_code, name="place_code"),
    path("sessions/<slug:session_id>/", sessions.show, name="session"),
    path("sessions/<slug:session_id>/stop/", sessions.stop, name="session_stop"),
    path("run/<slug:session_id>/", run.here, name="run"),
    path("run/<slug:session_id>/done/", run.done, name="run_done"),
    path("run/<slug:session_id>/<slug:stage>/", run.step, name="run_stage"),
    path("run/<slug:session_id>/<slug:stage>/progress/", run.progress, name="run_progress"),
    path("run/<slug:session_id>/<slug:stage>/prepare/", run.prepare, name="run_prepare"),
    path("run/<slug:session_id>/<slug:stage>/<int:number>/", run.step, name="run_step"),
]
